import type { JSX } from "preact";
import type { DiskCard } from "../../src/disk-card.ts";
import type { HostCard } from "../../src/view.ts";

/** A disk as a bar and in words, and what is on it of models in parts. */
function Disk({ disk }: { readonly disk: DiskCard }): JSX.Element {
  const used = 100 * disk.usedShare;
  return (
    <div class="disk">
      <svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label={disk.text}>
        <rect class="bar-all" width="100" height="4" />
        <rect class="bar-used" width={Math.max(disk.usedShare > 0 ? 1 : 0, used)} height="4" />
        <rect class="bar-other" x={used} width={100 * disk.otherShare} height="4" />
        {disk.capShare !== null && <rect class="bar-cap" x={Math.min(99.4, 100 * disk.capShare)} width="0.6" height="4" />}
      </svg>
      <p>{disk.text}</p>
      {disk.parts.length > 0 && (
        <ul class="parts">
          {disk.parts.map((part) => (
            <li key={part.key}>
              {part.text} <span class="quiet">{part.bytesText}</span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

/** The machines, each with its memory as a bar and in words. */
export function Hosts({ hosts }: { readonly hosts: readonly HostCard[] }): JSX.Element {
  return (
    <section aria-labelledby="hosts">
      <h2 id="hosts">Machines</h2>
      <ul class="hosts">
        {hosts.map((host) => (
          <li key={host.id} class={`card host host-${host.colour}`}>
            <div class="row">
              <h3>
                <span class="swatch" aria-hidden="true" />
                {host.name}
              </h3>
              {host.isSelf && <span class="tag">this one</span>}
              <span class={`state state-${host.state}`}>{host.state}</span>
            </div>
            <svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label={host.memoryText}>
              <rect class="bar-all" width="100" height="4" />
              <rect class="bar-budget" width={100 * (host.usedShare + host.budgetShare)} height="4" />
              <rect class="bar-used" width={Math.max(host.usedShare > 0 ? 1 : 0, 100 * host.usedShare)} height="4" />
            </svg>
            <p>{host.memoryText}</p>
            <p class="quiet">
              {host.chip} · {host.bandwidthText}
            </p>
            {host.disk !== null && <Disk disk={host.disk} />}
          </li>
        ))}
      </ul>
    </section>
  );
}
