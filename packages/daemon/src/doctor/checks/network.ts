import type { FirewallFacts } from "../facts.ts";
import { check, HERE, hint, wrong, type Check } from "../check.ts";

const MEGABITS_MIN = 1_000;

const portsCheck: Check = check({
  name: "ports",
  title: "ports",
  needs: ["ports", "daemon"],
  find({ ports, daemon }) {
    return ports.flatMap(({ port, use, flag, state }) => {
      if (state === "forbidden")
        return [
          wrong(HERE, `this user may not listen at port ${port}`, `it is for ${use}`, `Use another: clusterd join ${flag} PORT`),
        ];
      // A daemon that runs has them, or others it was told.
      if (state === "free" || daemon.alive) return [];
      return [
        wrong(
          HERE,
          `port ${port} is taken by another program, or by a clusterd of another home`,
          `it is for ${use}`,
          `See whose it is (lsof -i :${port}, on Windows netstat -ano), or use another: clusterd join ${flag} PORT`,
        ),
      ];
    });
  },
});

const interfacesCheck: Check = check({
  name: "network",
  title: "network interfaces",
  needs: ["interfaces"],
  find({ interfaces }) {
    if (interfaces.length === 0)
      return [
        hint(HERE, "there is no network but the loopback", "no other machine can join", "Connect it to the others' network."),
      ];
    const wired = interfaces.filter(({ wireless }) => wireless !== true);
    const onlyWireless =
      wired.length === 0
        ? [
            hint(
              interfaces.map(({ name }) => name).join(", "),
              "this machine is on Wi-Fi alone",
              "every token pays each link's round trip, and Wi-Fi's is some milliseconds and varies",
              "Use a cable, at least for machines that hold layers.",
            ),
          ]
        : [];
    const slow = wired
      .filter(({ megabitsPerSecond }) => megabitsPerSecond !== null && megabitsPerSecond < MEGABITS_MIN)
      .map(({ name, megabitsPerSecond }) =>
        hint(
          name,
          `the cable runs at ${megabitsPerSecond} Mbit/s`,
          "weights take ten times as long to fetch as over gigabit, prompts several times as long to read",
          "Try another cable or port: a broken wire in it, or an old switch, does this.",
        ),
      );
    return [...onlyWireless, ...slow];
  },
});

const multicastCheck: Check = check({
  name: "mdns",
  title: "finding others by mDNS",
  needs: ["interfaces"],
  find({ interfaces }) {
    const deaf = interfaces.filter(({ multicastTrouble }) => multicastTrouble !== null);
    const all = deaf.length === interfaces.length;
    return deaf.map(({ name, address, multicastTrouble }) =>
      (all ? wrong : hint)(
        `${name} (${address})`,
        `mDNS does not work there: ${multicastTrouble}`,
        "nodes do not find each other by themselves",
        "Allow UDP 5353 and multicast to 224.0.0.251 there, or name a member: clusterd join --peer /ip4/ADDRESS/tcp/2574",
      ),
    );
  },
});

const ALLOW: Readonly<Record<NonNullable<FirewallFacts["active"]>, string>> = {
  ufw: "sudo ufw allow 2574:2575/tcp && sudo ufw allow 5353/udp",
  firewalld: "sudo firewall-cmd --permanent --add-port=2574-2575/tcp --add-service=mdns && sudo firewall-cmd --reload",
  macOS: "System Settings → Network → Firewall → Options: allow incoming connections for node",
  Windows:
    "As administrator: New-NetFirewallRule -DisplayName clusterd -Direction Inbound -Protocol TCP -LocalPort 2574,2575 -Action Allow",
};

/** Said only where nobody is there: with members alive it lets them through. */
const firewallCheck: Check = check({
  name: "firewall",
  title: "the firewall",
  needs: ["firewall"],
  find({ firewall: { active, othersSeen } }) {
    return active === null || othersSeen
      ? []
      : [
          hint(
            HERE,
            `the firewall of ${active === "ufw" || active === "firewalld" ? `this system (${active})` : active} is on, and no other node is seen`,
            "it may turn away the mesh (TCP 2574), the tunnels (TCP 2575) and mDNS (UDP 5353)",
            ALLOW[active],
          ),
        ];
  },
});

export const NETWORK_CHECKS: readonly Check[] = [portsCheck, interfacesCheck, multicastCheck, firewallCheck];
