// Use the service as a model with OpenAI's SDK for JavaScript.
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: `${process.env.BASE_URL ?? "http://127.0.0.1:8010"}/v1`,
  apiKey: process.env.API_KEY ?? "none",
});
const model = process.env.MODEL ?? (await client.models.list()).data[0].id;
const stream = await client.chat.completions.create({
  model,
  messages: [{ role: "user", content: "What is in my workspace?" }],
  stream: true,
});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0].delta.content ?? "");
}
console.log();
