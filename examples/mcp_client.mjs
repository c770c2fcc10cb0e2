// List and call the service's tools with the MCP SDK for TypeScript.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const url = new URL("/mcp", process.env.BASE_URL ?? "http://127.0.0.1:8010");
const headers = process.env.API_KEY ? { Authorization: `Bearer ${process.env.API_KEY}` } : {};
const client = new Client({ name: "example", version: "1.0.0" });
await client.connect(new StreamableHTTPClientTransport(url, { requestInit: { headers } }));
const { tools } = await client.listTools();
console.log(tools.map((tool) => tool.name).join(" "));
const result = await client.callTool({ name: "fs.list", arguments: {} });
console.log(result.content[0].text);
await client.close();
