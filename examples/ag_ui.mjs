// Run the agent with the client of AG-UI.
import { HttpAgent } from "@ag-ui/client";

const agent = new HttpAgent({
  url: `${process.env.BASE_URL ?? "http://127.0.0.1:8010"}/ag-ui`,
  headers: process.env.API_KEY ? { Authorization: `Bearer ${process.env.API_KEY}` } : {},
});
agent.addMessage({ id: crypto.randomUUID(), role: "user", content: "What is in my workspace?" });
await agent.runAgent(
  {},
  {
    onToolCallStartEvent: ({ event }) => console.log(`[${event.toolCallName}]`),
    onTextMessageContentEvent: ({ event }) => process.stdout.write(event.delta),
  },
);
console.log();
