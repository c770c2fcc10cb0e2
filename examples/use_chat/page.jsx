// A chat page with `useChat`: it streams, asks for approvals, runs a tool of the page, and continues after a reload.
//
//     npx esbuild use_chat/page.jsx --bundle --jsx=automatic --outfile=use_chat/page.js
//
// The page's origin must be in CORS_ALLOWED_ORIGINS. `?base=` names the service. The key stays in the tab.
import { useChat } from "@ai-sdk/react";
import {
  DefaultChatTransport,
  lastAssistantMessageIsCompleteWithApprovalResponses,
  lastAssistantMessageIsCompleteWithToolCalls,
} from "ai";
import { useState } from "react";
import { createRoot } from "react-dom/client";

const base = new URLSearchParams(location.search).get("base") ?? "http://127.0.0.1:8010";
const clientTools = [
  { name: "page_title", description: "Return the title of the page.", parameters: { type: "object", properties: {} } },
];
sessionStorage.chat ??= crypto.randomUUID();

function headers() {
  return sessionStorage.apiKey ? { Authorization: `Bearer ${sessionStorage.apiKey}` } : {};
}

function Part({ part, decide }) {
  if (part.type === "text") return <p>{part.text}</p>;
  if (part.type === "reasoning") return <p><em>{part.text}</em></p>;
  if (part.type !== "dynamic-tool" && !part.type.startsWith("tool-")) return null;
  return (
    <p>
      <code>{part.toolName ?? part.type.slice(5)}</code> {part.state}
      {part.state === "approval-requested" && (
        <>
          {" "}<code>{JSON.stringify(part.input)}</code>
          <button onClick={() => decide({ id: part.approval.id, approved: true })}>Approve</button>
          <button onClick={() => decide({ id: part.approval.id, approved: false })}>Deny</button>
        </>
      )}
    </p>
  );
}

function Page() {
  const [input, setInput] = useState("");
  const chat = useChat({
    id: sessionStorage.chat,
    resume: sessionStorage.begun === "yes",
    transport: new DefaultChatTransport({ api: `${base}/ai/chat`, headers, body: { clientTools } }),
    sendAutomaticallyWhen: (state) =>
      lastAssistantMessageIsCompleteWithApprovalResponses(state) || lastAssistantMessageIsCompleteWithToolCalls(state),
    onToolCall: ({ toolCall }) => {
      if (toolCall.toolName === "page_title") {
        // Without `void`, the stream would wait for the answer that it has to send first.
        void chat.addToolOutput({ tool: "page_title", toolCallId: toolCall.toolCallId, output: document.title });
      }
    },
  });
  const stop = () => fetch(`${base}/ai/chat/${sessionStorage.chat}/stop`, { method: "POST", headers: headers() });
  const submit = (event) => {
    event.preventDefault();
    sessionStorage.begun = "yes";
    chat.sendMessage({ text: input });
    setInput("");
  };
  return (
    <>
      {chat.messages.map((message) => (
        <article key={message.id} data-role={message.role}>
          <strong>{message.role}</strong>
          {message.parts.map((part, place) => (
            <Part key={place} part={part} decide={chat.addToolApprovalResponse} />
          ))}
        </article>
      ))}
      {chat.error && <p role="alert">{chat.error.message}</p>}
      <output>{chat.status}</output>
      <form onSubmit={submit}>
        <label>Message <input value={input} onChange={(event) => setInput(event.target.value)} /></label>
        <button>Send</button>
        <button type="button" onClick={stop}>Stop</button>
      </form>
      <label>Key <input type="password" onChange={(event) => (sessionStorage.apiKey = event.target.value)} /></label>
    </>
  );
}

createRoot(document.getElementById("root")).render(<Page />);
