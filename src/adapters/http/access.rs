//! Who may ask on a TCP port. Every program of this machine can connect to it, of any user, and so can every web page that a browser shows. So a request
//! needs the token; and, for a page must not even learn that a daemon is here, it has to call the daemon by a name that is this machine's own
//! (a page that has its own name lead here, DNS rebinding, calls it by that), and must come from no page of another origin.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::middleware::Next;
use axum::response::Response;
use tokio_util::sync::CancellationToken;

use super::connections::Proof;
use super::error::ApiError;
use super::refusals::Refusals;
use super::token::{Token, TokenError, Version};

/// The names of this machine for itself.
const OWN_NAMES: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];
/// What a browser says of the page that asks: that it is another one.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// What who has the token may not do with it: he who has stolen it could lock its owner out.
const SOCKET_ONLY: &str = "/api/v1/daemon/token";

/// The token in use, which is what its file holds, and the connections that were opened with it.
#[derive(Debug)]
pub struct Access {
    file: PathBuf,
    current: Mutex<Current>,
    refusals: Refusals,
}

#[derive(Debug, Clone, Default)]
struct Current {
    /// `None`: the file is not there, or holds none that can be used.
    token: Option<Token>,
    /// The file as it was when it was read last; `None` when there was none.
    version: Option<Version>,
    /// Cancelled when there is another token.
    replaced: CancellationToken,
}

impl Access {
    /// With what a file will hold. It is neither read nor made before somebody asks.
    #[must_use]
    pub fn of(file: PathBuf) -> Self {
        Self { file, current: Mutex::default(), refusals: Refusals::default() }
    }

    /// With the token of a file; a new one where there is no file.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn load(file: PathBuf) -> Result<Self, TokenError> {
        let access = Self::of(file);
        access.prepare()?;
        Ok(access)
    }

    /// Sees to it that there is a token.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn prepare(&self) -> Result<(), TokenError> {
        Token::load_or_make(&self.file)?;
        self.current();
        Ok(())
    }

    /// Makes a new token. The old one is worth nothing when this returns, and what was opened with it is closed.
    ///
    /// # Errors
    /// [`TokenError`]; the old one goes on then.
    pub fn renew(&self) -> Result<(), TokenError> {
        Token::renew(&self.file)?;
        self.current();
        Ok(())
    }

    /// Cancelled when the token of now is replaced.
    pub(super) fn replaced(&self) -> CancellationToken {
        self.current().replaced
    }

    /// What was refused here.
    pub(super) fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// What counts now: what the file holds. So a file that somebody removed, changed or made anew and this never disagree.
    fn current(&self) -> Current {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let version = Version::of(&self.file);
        if version != current.version {
            self.follow(&mut current, version);
        }
        current.clone()
    }

    fn follow(&self, current: &mut Current, seen: Option<Version>) {
        let (token, version) = match Token::load(&self.file) {
            Ok((token, version)) => (Some(token), Some(version)),
            Err(error) => {
                tracing::warn!(%error, "there is no token that can be used: nobody is let in by TCP");
                (None, seen)
            }
        };
        current.version = version;
        let is_same = |old: &Token| token.as_ref().is_some_and(|new| new.is(old.secret()));
        if current.token.as_ref().is_some_and(is_same) {
            return;
        }
        if current.token.is_some() {
            tracing::info!("there is another token, or none; connections with the old one are closed");
        }
        current.token = token;
        std::mem::take(&mut current.replaced).cancel();
    }
}

/// Lets a request through that may be answered. It has not been looked at otherwise, and nothing of its body was read.
pub async fn guard(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    if let Err(refusal) = admit(&access, &request) {
        return access.refusals.answer(refusal);
    }
    if let Some(proof) = request.extensions().get::<Proof>() {
        proof.give();
    }
    next.run(request).await
}

fn admit(access: &Access, request: &Request) -> Result<(), ApiError> {
    let headers = request.headers();
    // A request for a whole address names the host twice.
    let named = request.uri().authority().map(ToString::to_string);
    let host = one(headers, &header::HOST).unwrap_or_default();
    if !is_own(host) || named.is_some_and(|named| !is_own(&named)) {
        return Err(ApiError::of("host_not_allowed", "the Host header names another machine than this")
            .hint("ask for 127.0.0.1, localhost or [::1]"));
    }
    if !is_own_origin(headers, host) {
        return Err(ApiError::of("origin_not_allowed", "web pages of other origins may not ask"));
    }
    // What is upgraded to a WebSocket passes here too, as a request like any other.
    if !given_token(headers).is_some_and(|given| access.current().token.is_some_and(|token| token.is(given))) {
        return Err(ApiError::of("unauthorized", "the bearer token is missing or wrong")
            .hint("send the header Authorization: Bearer TOKEN; ao token prints it"));
    }
    if request.uri().path() == SOCKET_ONLY {
        return Err(ApiError::of("socket_only", "a new token is made by who may use the Unix socket")
            .hint("make one with: ao token --renew"));
    }
    Ok(())
}

/// A header's value, when it is there once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether that is this machine, at any port: a tunnel has another one at its near end.
fn is_own(host: &str) -> bool {
    OWN_NAMES.iter().any(|name| {
        let rest = host.get(..name.len()).filter(|start| start.eq_ignore_ascii_case(name)).map(|_| &host[name.len()..]);
        rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
    })
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// Whether no page asks, or one that came from here. `null`, as of a sandboxed page, is no origin of ours.
fn is_own_origin(headers: &HeaderMap, host: &str) -> bool {
    let is_ours = |origin: &str| origin.strip_prefix("http://").is_some_and(|origin| origin.eq_ignore_ascii_case(host));
    let has = |name: &HeaderName| headers.contains_key(name);
    (!has(&header::ORIGIN) || one(headers, &header::ORIGIN).is_some_and(is_ours))
        && (!has(&FETCH_SITE) || one(headers, &FETCH_SITE).is_some_and(|site| ["none", "same-origin"].contains(&site)))
}

fn given_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = one(headers, &header::AUTHORIZATION)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use axum::body::Body;

    use super::*;
    use crate::platform::file;

    fn outcome(access: &Access, uri: &str, headers: &[(&str, &str)]) -> Result<(), String> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        admit(access, &request.body(Body::empty()).unwrap()).map_err(|error| format!("{error:?}"))
    }

    fn access() -> (tempfile::TempDir, Access, String) {
        let directory = tempfile::tempdir().unwrap();
        let access = Access::load(directory.path().join("token")).unwrap();
        let bearer = format!("Bearer {}", access.current().token.unwrap().secret());
        (directory, access, bearer)
    }

    #[test]
    fn a_host_of_another_name_is_refused_also_with_the_token() {
        let (_directory, access, bearer) = access();
        for host in ["127.0.0.1", "127.0.0.1:80", "LOCALHOST:8080", "[::1]:1", "localhost"] {
            assert_eq!(outcome(&access, "/", &[("host", host), ("authorization", &bearer)]), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:80",
            "localhost:80.evil.example",
            "localhost:+80",
            "localhost:99999",
            "127.0.0.1@evil.example",
            "127.0.0.2",
            "0.0.0.0",
            "",
        ] {
            let refused = outcome(&access, "/", &[("host", host), ("authorization", &bearer)]).unwrap_err();
            assert!(refused.contains("host_not_allowed"), "{host}: {refused}");
        }
        let bearer = ("authorization", bearer.as_str());
        for (uri, headers) in [
            ("/", vec![bearer]),
            ("/", vec![("host", "localhost"), ("host", "evil.example"), bearer]),
            ("http://evil.example/", vec![("host", "localhost"), bearer]),
        ] {
            assert!(outcome(&access, uri, &headers).unwrap_err().contains("host_not_allowed"), "{uri} {headers:?}");
        }
    }

    #[test]
    fn a_page_of_another_origin_is_refused_also_with_the_token() {
        let (_directory, access, bearer) = access();
        let with =
            |name, value| outcome(&access, "/", &[("host", "localhost:80"), ("authorization", &bearer), (name, value)]);
        for (name, value) in
            [("origin", "http://localhost:80"), ("sec-fetch-site", "none"), ("sec-fetch-site", "same-origin")]
        {
            assert_eq!(with(name, value), Ok(()), "{name}: {value}");
        }
        for (name, value) in [
            ("origin", "https://evil.example"),
            ("origin", "http://localhost:81"),
            ("origin", "https://localhost:80"),
            ("origin", "http://localhost:80.evil.example"),
            ("origin", "null"),
            ("origin", ""),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert!(with(name, value).unwrap_err().contains("origin_not_allowed"), "{name}: {value}");
        }
    }

    #[test]
    fn only_the_token_of_now_lets_in() {
        let (_directory, access, bearer) = access();
        let with = |bearer: &str| outcome(&access, "/", &[("host", "localhost"), ("authorization", bearer)]);
        assert_eq!(with(&bearer), Ok(()));
        assert_eq!(with(&bearer.replace("Bearer", "bearer")), Ok(()));
        let opened = access.replaced();
        let (basic, twice) = (bearer.replace("Bearer", "Basic"), format!("{bearer} {bearer}"));
        for wrong in ["", "Bearer", "Bearer ", "Bearer x", bearer.trim_start_matches("Bearer "), &basic, &twice] {
            assert!(with(wrong).unwrap_err().contains("unauthorized"), "{wrong:?}");
        }
        access.renew().unwrap();
        assert!(with(&bearer).unwrap_err().contains("unauthorized"), "the old token");
        assert!(opened.is_cancelled() && !access.replaced().is_cancelled());
        let bearer = format!("Bearer {}", access.current().token.unwrap().secret());
        assert_eq!(with(&bearer), Ok(()));
        let renewal = outcome(&access, SOCKET_ONLY, &[("host", "localhost"), ("authorization", &bearer)]);
        assert!(renewal.unwrap_err().contains("socket_only"));
    }
    #[test]
    fn what_the_file_holds_counts_whoever_wrote_it() {
        let (directory, access, bearer) = access();
        let file = directory.path().join("token");
        let with = |bearer: &str| outcome(&access, "/", &[("host", "localhost"), ("authorization", bearer)]).is_ok();
        let opened = access.replaced();
        let text = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(!with(&bearer) && opened.is_cancelled(), "a token that was taken away lets in");
        assert!(!file.exists(), "a request makes no token");
        let made = Token::load_or_make(&file).unwrap();
        let opened = access.replaced();
        assert!(with(&format!("Bearer {}", made.secret())) && !with(&bearer));
        // The same text in another file is no other token.
        file::write_atomically(&file, format!("{}\n", made.secret()).as_bytes(), 0o600).unwrap();
        assert!(with(&format!("Bearer {}", made.secret())) && !opened.is_cancelled());
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        assert!(!with(&format!("Bearer {}", made.secret())) && opened.is_cancelled(), "others can read it");
        std::fs::remove_file(&file).unwrap();
        file::write_atomically(&file, &text, 0o600).unwrap();
        assert!(with(&bearer));
        let unread = directory.path().join("unread");
        drop(Access::of(unread.clone()));
        assert!(!unread.exists());
    }
}
