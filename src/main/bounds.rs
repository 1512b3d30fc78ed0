//! What bounds the agents: how many there may be at once, and what each may take. The daemon decides it when it starts; `ao doctor`
//! shows what the running one decided, or what one would that was started now.

use ao::adapters::http::wire::{AgentBounds, AgentGroups};
use ao::app::doctor::{Check, Verdict};
use ao::platform::cgroup::place::{self, Absent, Place};
use ao::platform::machine::{self, gibibytes};
use ao::ports::runtime::Confinement;

use crate::edge::Edge;

const ANEW: &str = "ao stop, then ao start; agents go on";

/// Moves this process to where it can make groups for agents, where there is such a place.
pub(crate) async fn settle_groups(edge: &Edge) -> (AgentGroups, Option<Confinement>) {
    let settled = match place::plan(&edge.config.cgroup, &edge.env).await {
        Ok(plan) => place::settle(plan, &edge.env).await,
        Err(absent) => Err(absent),
    };
    match settled {
        Ok(Place { parent, bounds_memory }) => {
            let memory_max_bytes = edge.agent_memory_max_bytes().filter(|_| bounds_memory);
            tracing::info!(parent = %parent.display(), bounds_memory, memory_max_bytes, "each agent gets a control group");
            let place = format!("in {}", parent.display());
            (
                AgentGroups::Made { place, bounds_memory, memory_max_bytes },
                Some(Confinement { parent, memory_max_bytes }),
            )
        }
        Err(Absent { why, advice }) => {
            tracing::info!(why, advice, "agents get no control groups");
            (AgentGroups::Absent { why, advice }, None)
        }
    }
}

/// The checks of the bounds: of those that a daemon decided, or of those that one would that was started from here.
pub(crate) async fn checks(edge: &Edge, decided: Option<&AgentBounds>) -> [Check; 2] {
    let planned = planned_groups(edge).await;
    let groups = decided.map_or(&planned, |decided| &decided.groups);
    let mut memory = memory_limits(groups);
    if differ(groups, &planned) {
        memory.advice = Some(format!("a daemon that is started from here would do otherwise: {ANEW}"));
    }
    [live_agents(edge, decided), memory]
}

fn live_agents(edge: &Edge, decided: Option<&AgentBounds>) -> Check {
    let now = edge.max_live_agents();
    let why = if edge.config.max_live_agents.is_some() {
        "set by max_live_agents".to_owned()
    } else {
        let memory = machine::memory_bytes().map_or_else(|_| "unknown".to_owned(), gibibytes);
        format!("for {memory} of memory and {} cores; another number: max_live_agents", machine::cores())
    };
    match decided {
        Some(decided) if decided.max_live_agents != now => Check {
            advice: Some(format!("a daemon that is started now would allow {now} ({why}): {ANEW}")),
            ..Check::ok("live agents", format!("{} at once in the daemon that runs", decided.max_live_agents))
        },
        _ => Check::ok("live agents", format!("{now} at once, {why}")),
    }
}

fn memory_limits(groups: &AgentGroups) -> Check {
    let absent = |found: String, advice: &str| Check {
        name: "memory limits".to_owned(),
        verdict: Verdict::Absent,
        found: format!("{found}; an agent that eats all memory may take others along"),
        advice: Some(advice.to_owned()),
    };
    match groups {
        AgentGroups::Absent { why, advice } => absent(why.clone(), advice),
        AgentGroups::Made { place, bounds_memory: false, .. } => absent(
            format!("each agent gets a control group ({place}), but memory cannot be bounded there"),
            "boot Linux with cgroup_no_v1=memory, so that version 2 has that controller",
        ),
        AgentGroups::Made { place, memory_max_bytes, .. } => {
            let most =
                memory_max_bytes.map_or_else(|| "without limit".to_owned(), |b| format!("at most {}", gibibytes(b)));
            Check::ok("memory limits", format!("each agent in a control group of its own ({place}), {most}"))
        }
    }
}

/// What a daemon would find that was started from here. Changes nothing.
async fn planned_groups(edge: &Edge) -> AgentGroups {
    match place::plan(&edge.config.cgroup, &edge.env).await {
        Ok(plan) => AgentGroups::Made {
            place: plan.to_string(),
            bounds_memory: plan.bounds_memory(),
            memory_max_bytes: edge.agent_memory_max_bytes().filter(|_| plan.bounds_memory()),
        },
        Err(Absent { why, advice }) => AgentGroups::Absent { why, advice },
    }
}

/// Whether they bound agents in another way, wherever the groups are: a daemon may see other places than this process.
fn differ(one: &AgentGroups, other: &AgentGroups) -> bool {
    let bounds = |groups: &AgentGroups| match groups {
        AgentGroups::Made { bounds_memory, memory_max_bytes, .. } => Some((*bounds_memory, *memory_max_bytes)),
        AgentGroups::Absent { .. } => None,
    };
    bounds(one) != bounds(other)
}
