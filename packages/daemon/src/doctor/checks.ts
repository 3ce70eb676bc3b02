import type { Check } from "./check.ts";
import { DEPLOYMENT_CHECKS } from "./checks/deployments.ts";
import { HOME_CHECKS } from "./checks/home.ts";
import { LINK_CHECKS } from "./checks/links.ts";
import { MACHINE_CHECKS } from "./checks/machine.ts";
import { MEMBER_CHECKS } from "./checks/members.ts";
import { NETWORK_CHECKS } from "./checks/network.ts";
import { RESOURCE_CHECKS } from "./checks/resources.ts";

/** Every check there is, in the order in which they are told. */
export const CHECKS: readonly Check[] = [
  ...MACHINE_CHECKS,
  ...RESOURCE_CHECKS,
  ...HOME_CHECKS,
  ...NETWORK_CHECKS,
  ...MEMBER_CHECKS,
  ...LINK_CHECKS,
  ...DEPLOYMENT_CHECKS,
];
