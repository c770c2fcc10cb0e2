/** The choice of provider and model, from `GET /providers`. It is kept for this tab. */

import { byId, el } from "./elements.js";
import { showProblem } from "./notices.js";
import { oneLine, visible } from "./text.js";

const CHOICE = "orchestrator-model";

export class ModelChoice {
  /** @param {import("../service/api.js").Api} api */
  constructor(api) {
    this.api = api;
    this.select = byId("model");
    this.select.addEventListener("change", () => sessionStorage.setItem(CHOICE, this.select.value));
  }

  async refresh() {
    try {
      const { items } = await this.api.get("/providers");
      const kept = sessionStorage.getItem(CHOICE);
      this.select.replaceChildren(...items.map(group));
      const preferred = items.find((provider) => provider.default && provider.configured);
      const first = preferred ? value(preferred.name, preferred.default_model ?? "") : "";
      const known = new Set(Array.from(this.select.options, (option) => option.value));
      this.select.value = [kept, first, ...known].find((each) => known.has(each)) ?? "";
    } catch (error) {
      showProblem(error);
    }
  }

  /** @returns {{provider: string | null, model: string | null}} Null leaves the choice to the service. */
  get chosen() {
    const [provider, model] = this.select.value ? JSON.parse(this.select.value) : [];
    return { provider: provider || null, model: model || null };
  }
}

function group(provider) {
  const models = provider.models.map((model) => el("option", { value: value(provider.name, model) }, visible(model)));
  const missing = provider.configured ? "Its default model" : oneLine(provider.reason ?? "Not configured", 60);
  const only = el("option", { value: value(provider.name, ""), disabled: !provider.configured }, missing);
  return el("optgroup", { label: provider.name }, ...(models.length ? models : [only]));
}

function value(provider, model) {
  return JSON.stringify([provider, model]);
}
