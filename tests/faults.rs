//! What happens when things go wrong: processes that die at every named point of every use case, disks that are full,
//! people who delete and rename. Each time real processes are started, something is done to them, and what is left is
//! looked at from outside. See `docs/reliability.md`.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reads its environment, starts its own programs, says what it counted, and may panic"
)]
#![allow(dead_code, reason = "the sandbox is shared with tests that use more of it")]

#[path = "support/executable.rs"]
mod executable;
#[path = "support/inherited.rs"]
mod inherited;
#[path = "e2e/sandbox.rs"]
mod sandbox;
#[path = "e2e/tools.rs"]
mod tools;

#[path = "faults/bench.rs"]
mod bench;
#[path = "faults/case.rs"]
mod case;
#[path = "faults/chaos.rs"]
mod chaos;
#[path = "faults/deed.rs"]
mod deed;
#[path = "faults/dice.rs"]
mod dice;
#[path = "faults/findings.rs"]
mod findings;
#[path = "faults/half_removed.rs"]
mod half_removed;
#[path = "faults/hooked.rs"]
mod hooked;
#[path = "faults/messages.rs"]
mod messages;
#[path = "faults/model.rs"]
mod model;
#[path = "faults/points.rs"]
mod points;
#[path = "faults/random.rs"]
mod random;
#[path = "faults/scenario.rs"]
mod scenario;
#[path = "faults/stale.rs"]
mod stale;
#[path = "faults/surroundings.rs"]
mod surroundings;
#[path = "faults/work.rs"]
mod work;
#[path = "faults/world.rs"]
mod world;
