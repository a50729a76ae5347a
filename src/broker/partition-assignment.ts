// Who of several members is to have which partition: each about as many as any other, and as few moves as that takes.

/** A partition and the member that is to have it. */
export interface Assigned<Member> {
  /** Who has it. */
  readonly owner: Member | undefined;
  heir: Member | undefined;
}

/**
 * Sets the heir of every partition. A member keeps what it has, or is about to have, up to its quota; the quotas differ
 * by one at most, and the larger ones go to those that have more. What is left over goes to the members that have too
 * few, first of all to its owner.
 */
export function assign<Member>(partitions: readonly Assigned<Member>[], members: readonly Member[]): void {
  const rooms = quotas(partitions, members);
  const homeless: Assigned<Member>[] = [];
  for (const partition of partitions) {
    if (!takeRoom(rooms, partition.heir)) homeless.push(partition);
  }
  for (const partition of homeless) {
    const { owner } = partition;
    partition.heir = takeRoom(rooms, owner) ? owner : memberWithRoom(rooms);
    if (partition.heir !== owner) takeRoom(rooms, partition.heir);
  }
}

/** How many partitions each member may have. */
function quotas<Member>(
  partitions: readonly Assigned<Member>[],
  members: readonly Member[],
): Map<Member, number> {
  const counts = new Map<Member, number>(members.map((member) => [member, 0]));
  for (const { heir } of partitions)
    if (heir !== undefined && counts.has(heir)) counts.set(heir, counts.get(heir)! + 1);
  const share = Math.floor(partitions.length / members.length);
  const larger = partitions.length % members.length;
  const byCount = members.toSorted((one, other) => counts.get(other)! - counts.get(one)!);
  return new Map(byCount.map((member, index) => [member, share + (index < larger ? 1 : 0)]));
}

function takeRoom<Member>(rooms: Map<Member, number>, member: Member | undefined): boolean {
  const room = member === undefined ? 0 : (rooms.get(member) ?? 0);
  if (room <= 0) return false;
  rooms.set(member!, room - 1);
  return true;
}

/** The one with the most room, so that several new members fill up side by side. */
function memberWithRoom<Member>(rooms: ReadonlyMap<Member, number>): Member | undefined {
  let chosen: Member | undefined;
  let most = 0;
  for (const [member, room] of rooms) {
    if (room <= most) continue;
    chosen = member;
    most = room;
  }
  return chosen;
}
