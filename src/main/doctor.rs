//! `ao doctor`: the checks that need adapters, and those of directories and the socket. Needs no daemon, changes nothing.

use std::path::Path;

use ao::adapters::cli::client::Client;
use ao::adapters::cli::error::CliError;
use ao::adapters::http::wire::DaemonInfo;
use ao::app::doctor::{self, Check, Verdict};
use rustix::fs::{Access, access};

use crate::compose;
use crate::edge::Edge;

pub(crate) async fn examine(edge: &Edge) -> Result<Vec<Check>, CliError> {
    let workspace = compose::workspace(edge);
    let runtimes = compose::runtimes(edge);
    let agents = compose::agents(edge)?;
    let runtimes: Vec<_> = runtimes.iter().map(AsRef::as_ref).collect();
    let agents: Vec<_> = agents.iter().map(AsRef::as_ref).collect();
    let mut checks = doctor::examine(&workspace, &runtimes, &agents).await;
    checks.push(directory("data directory", edge.data_dir.root()));
    checks.push(directory("socket directory", &edge.socket_dir()));
    checks.push(daemon(edge).await);
    Ok(checks)
}

/// Whether a directory can be written to, or be made.
fn directory(name: &str, path: &Path) -> Check {
    let nearest = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(path);
    let shown = path.display().to_string();
    if access(nearest, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let found = format!("{shown}: {} cannot be written to", nearest.display());
        let advice =
            Some(format!("check with: ls -ld {}; or choose another place with AO_DATA_DIR", nearest.display()));
        return Check { name: name.to_owned(), verdict: Verdict::Broken, found, advice };
    }
    Check::ok(name, if nearest == path { shown } else { format!("{shown} (will be made)") })
}

async fn daemon(edge: &Edge) -> Check {
    match Client::new(&edge.socket()).get::<DaemonInfo>("/daemon").await {
        Ok(info) => {
            let mut check = Check::ok("daemon", format!("ao {} runs, pid {}", info.version, info.pid));
            if info.version != env!("CARGO_PKG_VERSION") {
                check.advice =
                    Some("it is another version than this ao: ao stop, then ao start; agents go on".to_owned());
            }
            check
        }
        Err(error) => Check {
            name: "daemon".to_owned(),
            verdict: Verdict::Absent,
            found: error.to_string(),
            advice: Some("ao spawn starts one by itself; by hand: ao start".to_owned()),
        },
    }
}
