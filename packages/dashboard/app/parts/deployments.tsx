import type { JSX } from "preact";
import type { DeploymentCard } from "../../src/view.ts";

/** What runs, and which layers of it are on which machine. */
export function Deployments({ deployments }: { readonly deployments: readonly DeploymentCard[] }): JSX.Element {
  return (
    <section aria-labelledby="deployments">
      <h2 id="deployments">Models running</h2>
      {deployments.length === 0 && (
        <p class="card">
          Nothing is deployed. Type <code>clusterd load demo</code>, or give the path of a GGUF file.
        </p>
      )}
      {deployments.map((deployment) => (
        <article key={deployment.key} class="card">
          <div class="row">
            <h3>{deployment.model}</h3>
            <span class={`state phase-${deployment.state}`}>
              {deployment.state}
              {deployment.state === "loading" && ` ${Math.round(deployment.progress * 100)} %`}
            </span>
            <span class="speed">{deployment.speedText}</span>
          </div>
          {deployment.reason !== null && <p class="reason">{deployment.reason}</p>}
          <Strip deployment={deployment} />
          {deployment.proposalText !== null && <p class="proposal">{deployment.proposalText}</p>}
          <p class="quiet">
            {deployment.detailText} · {deployment.queueText}
          </p>
          <p class="quiet">{deployment.predictionText}</p>
          <Layers deployment={deployment} />
        </article>
      ))}
    </section>
  );
}

/** The layers in pipeline order; a segment is as wide as it has layers. The table says the same in words. */
function Strip({ deployment }: { readonly deployment: DeploymentCard }): JSX.Element {
  const total = deployment.segments.reduce((sum, segment) => sum + segment.layers, 0);
  const columns = deployment.segments
    .map((segment) => `minmax(4.5rem, ${Math.max(1, Math.round((100 * segment.layers) / total))}fr)`)
    .join(" ");
  return (
    <div class="strip" aria-hidden="true" style={{ gridTemplateColumns: columns }}>
      {deployment.segments.map((segment) => (
        <div key={segment.node} class={`segment host-${segment.colour}`}>
          <strong>{segment.host}</strong>
          <span>layers {segment.rangeText}</span>
          <span>{segment.bytesText}</span>
        </div>
      ))}
    </div>
  );
}

function Layers({ deployment }: { readonly deployment: DeploymentCard }): JSX.Element {
  return (
    <details>
      <summary>Layers as a table</summary>
      <div class="scroll" tabIndex={0} role="region" aria-label={`Layers of ${deployment.model}`}>
        <table>
          <caption>Layers of {deployment.model} over the machines</caption>
          <thead>
            <tr>
              <th scope="col">Machine</th>
              <th scope="col">Layers</th>
              <th scope="col">Weights</th>
              <th scope="col">KV cache</th>
              <th scope="col">Predicted</th>
              <th scope="col">Measured</th>
              <th scope="col">Work · wire · idle</th>
            </tr>
          </thead>
          <tbody>
            {deployment.segments.map((segment) => (
              <tr key={segment.node}>
                <th scope="row">
                  {segment.host}
                  {segment.isHead && " (head)"}
                </th>
                <td>{segment.rangeText}</td>
                <td>{segment.bytesText}</td>
                <td>{segment.kvText}</td>
                <td>{segment.predictedText}</td>
                <td>{segment.measuredText}</td>
                <td>{segment.timingText}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
