import { render, type JSX } from "preact";
import { pageOf } from "../src/view.ts";
import { follow, isLive, state } from "./live.ts";
import { Deployments } from "./parts/deployments.tsx";
import { Hosts } from "./parts/hosts.tsx";
import { Pending } from "./parts/pending.tsx";

function App(): JSX.Element {
  if (state.value === null)
    return <main aria-busy="true">{isLive.value ? "Asking the node …" : "The node does not answer. Trying again …"}</main>;
  const page = pageOf(state.value);
  return (
    <>
      <header>
        <h1>
          clusterd <span class="cluster">{page.title}</span>
        </h1>
        {page.isOpen && <span class="tag warn">open: lets in whoever is on the network</span>}
        <p role="status" class={isLive.value ? "quiet" : "reason"}>
          {isLive.value ? "" : "Connection lost. What you see is old; trying again …"}
        </p>
      </header>
      <main>
        {page.standing !== "member" && (
          <p class="card">
            {page.code === null ? (
              "Looking for a cluster on this network …"
            ) : (
              <>
                To let this machine in, type on a member: <code>clusterd approve {page.code}</code>
              </>
            )}
          </p>
        )}
        <Pending pending={page.pending} />
        <Deployments deployments={page.deployments} />
        <Hosts hosts={page.hosts} />
        <section aria-labelledby="models">
          <h2 id="models">Models known</h2>
          <ul class="models">
            {page.models.map((model) => (
              <li key={model.id}>
                <strong>{model.id}</strong> <span class="quiet">{model.text}</span>
                {model.copiesText !== "" && <span class="quiet"> · on {model.copiesText}</span>}
              </li>
            ))}
          </ul>
        </section>
      </main>
    </>
  );
}

const root = document.getElementById("app");
if (root !== null) render(<App />, root);
follow();
