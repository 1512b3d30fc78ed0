//! Which processes hold the other end of a TCP connection within this machine. Linux only: `/proc/net/tcp`, `/proc/<pid>/fd`. It reads all of both, so it is for what
//! is asked rarely.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// How often the kernel's table is read before a connection that is not in it counts as closed: one can be passed over while others come and go.
const LOOKS: usize = 3;
/// Where these columns of the table are.
const THEIRS: usize = 1;
const OURS: usize = 2;
const INODE: usize = 9;

/// Who holds the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holders {
    /// These processes.
    Processes(Vec<u32>),
    /// Nobody any more: it was closed.
    Gone,
    /// Somebody who cannot be seen from here: a process of another user, one that the kernel hides (as the ones that `sshd` has for tunnels), or one in
    /// another space of processes.
    Hidden,
}

/// Looks for who holds the other end of a connection: `theirs` is its address there, `ours` the one here.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn holders(theirs: SocketAddr, ours: SocketAddr) -> io::Result<Holders> {
    for _ in 0..LOOKS {
        let Some(socket) = inode(theirs, ours)? else { continue };
        let holders = with_open(&format!("socket:[{socket}]"))?;
        if !holders.is_empty() {
            return Ok(Holders::Processes(holders));
        }
        // Else it was closed while it was looked for.
        if inode(theirs, ours)? == Some(socket) {
            return Ok(Holders::Hidden);
        }
    }
    Ok(Holders::Gone)
}

/// The number of the socket at `theirs`; `None` when no process has it.
fn inode(theirs: SocketAddr, ours: SocketAddr) -> io::Result<Option<u64>> {
    if let (IpAddr::V4(_), IpAddr::V4(_)) = (theirs.ip(), ours.ip())
        && let found @ Some(_) = entry("/proc/net/tcp", theirs, ours)?
    {
        return Ok(found);
    }
    // A program may speak IPv4 through a socket of the other kind.
    match entry("/proc/net/tcp6", theirs, ours) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found,
    }
}

fn entry(table: &str, theirs: SocketAddr, ours: SocketAddr) -> io::Result<Option<u64>> {
    let shown = if table.ends_with('6') { shown_v6 } else { shown_v4 };
    let (theirs, ours) = (shown(theirs), shown(ours));
    let table = std::fs::read_to_string(table)?;
    let inode = table.lines().find_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let is_it =
            columns.nth(THEIRS) == Some(theirs.as_str()) && columns.nth(OURS - THEIRS - 1) == Some(ours.as_str());
        is_it.then(|| columns.nth(INODE - OURS - 1)?.parse().ok()).flatten()
    });
    Ok(inode.filter(|inode| *inode != 0))
}

/// An address as the kernel writes it: each 32 bits of it as a number of this machine.
fn shown_v4(address: SocketAddr) -> String {
    let words = match address.ip() {
        IpAddr::V4(ip) => words(&ip.octets()),
        IpAddr::V6(ip) => words(&ip.octets()),
    };
    format!("{words}:{:04X}", address.port())
}

fn shown_v6(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    format!("{}:{:04X}", words(&ip.octets()), address.port())
}

fn words(octets: &[u8]) -> String {
    let (words, _) = octets.as_chunks::<4>();
    words.iter().fold(String::new(), |shown, word| format!("{shown}{:08X}", u32::from_ne_bytes(*word)))
}

/// The processes that have this open, among those that can be looked into.
fn with_open(what: &str) -> io::Result<Vec<u32>> {
    let what = Path::new(what);
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let process = entry?;
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let open = match std::fs::read_dir(process.path().join("fd")) {
            Ok(open) => open,
            Err(error) if is_closed_to_us(&error) => continue,
            Err(error) => return Err(error),
        };
        if open.flatten().any(|file| std::fs::read_link(file.path()).is_ok_and(|leads_to| leads_to == what)) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Whether a process cannot be looked into because it is another user's, or has ended.
fn is_closed_to_us(error: &io::Error) -> bool {
    let ended = error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error());
    ended || matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn connect(listener: &TcpListener, to: &str) -> (TcpStream, SocketAddr, SocketAddr) {
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect((to, port)).unwrap();
        let (_, theirs) = listener.accept().unwrap();
        (client, theirs, listener.local_addr().unwrap())
    }

    #[test]
    fn who_holds_the_other_end_is_found_until_it_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (client, theirs, ours) = connect(&listener, "127.0.0.1");
        let (other, others, _) = connect(&listener, "127.0.0.1");
        let me = || Holders::Processes(vec![std::process::id()]);
        assert_eq!(holders(theirs, ours).unwrap(), me());
        assert_eq!(holders(others, ours).unwrap(), me());
        drop(client);
        assert_eq!(holders(theirs, ours).unwrap(), Holders::Gone);
        assert_eq!(holders(others, ours).unwrap(), me());
        drop(other);
    }

    #[test]
    fn an_ipv4_connection_through_an_ipv6_socket_is_found() {
        let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
        let (client, theirs, ours) = connect(&listener, "::1");
        assert_eq!(holders(theirs, ours).unwrap(), Holders::Processes(vec![std::process::id()]));
        drop(client);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (client, theirs, ours) = connect(&listener, "::ffff:127.0.0.1");
        assert_eq!(holders(theirs, ours).unwrap(), Holders::Processes(vec![std::process::id()]));
        drop(client);
    }
}
