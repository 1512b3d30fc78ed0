//! Lists in pages. A cursor names the last thing of the page before; what it looks like is nobody's business.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Deserialize;

use super::error::ApiError;
use super::extract::Params;
use super::wire::{MAX_PAGE, Page};

/// How many things a page has when nobody asks for a number.
const DEFAULT_PAGE: u32 = 100;

/// Which page of a list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// What the page before gave as `next`.
    #[param(pattern = "^([0-9a-f]{2})+$", max_length = 300)]
    cursor: Option<String>,
    /// How many things it has at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// A page that makes sense.
pub(super) struct PageOf {
    /// The last thing of the page before.
    pub(super) after: Option<String>,
    /// How many things it has at most.
    pub(super) limit: u32,
}

impl<S: Send + Sync> FromRequestParts<S> for PageOf {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Params(PageQuery { cursor, limit }) = Params::from_request_parts(parts, state).await?;
        let limit = limit.unwrap_or(DEFAULT_PAGE);
        if !(1..=MAX_PAGE).contains(&limit) {
            return Err(ApiError::invalid(format!("limit is from 1 to {MAX_PAGE}")));
        }
        let after = cursor.map(|cursor| decode(&cursor).ok_or_else(not_ours)).transpose()?;
        Ok(Self { after, limit })
    }
}

impl PageOf {
    /// The page of a list that is all there, in whatever order, whose things have names of their own and stay.
    pub(super) fn cut<T>(&self, mut items: Vec<T>, name: impl Fn(&T) -> &str) -> Result<Page<T>, ApiError> {
        if let Some(after) = &self.after {
            let last = items.iter().position(|item| name(item) == after).ok_or_else(not_ours)?;
            items.drain(..=last);
        }
        Ok(self.fill(items, name))
    }

    /// The page of a list that is all there, in the order of its names. The last thing of the page before may be gone.
    pub(super) fn cut_by_name<T>(&self, mut items: Vec<T>, name: impl Fn(&T) -> &str) -> Page<T> {
        if let Some(after) = &self.after {
            items.drain(..items.partition_point(|item| name(item) <= after.as_str()));
        }
        self.fill(items, name)
    }

    /// The page from what comes after the one before, of which there may be more than it takes.
    pub(super) fn fill<T>(&self, mut items: Vec<T>, name: impl Fn(&T) -> &str) -> Page<T> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| has_more).map(|last| encode(name(last)));
        Page { items, next }
    }
}

/// The error of a cursor that no page gave.
pub(super) fn not_ours() -> ApiError {
    ApiError::invalid("no page of this list gave such a cursor").hint("begin anew, without one")
}

fn encode(name: &str) -> String {
    name.bytes()
        .flat_map(|byte| [byte >> 4, byte & 0xf])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

fn decode(cursor: &str) -> Option<String> {
    let digits = cursor.as_bytes();
    if digits.is_empty() || !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    String::from_utf8(digits.chunks(2).map(byte).collect::<Option<Vec<u8>>>()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(cursor: Option<&str>, limit: u32) -> PageOf {
        PageOf { after: cursor.map(|cursor| decode(cursor).unwrap()), limit }
    }

    #[test]
    fn pages_follow_one_another_to_the_end_and_nothing_is_in_two() {
        let items = ["a", "b-1", "c", "d"];
        let cuts = [
            |page: PageOf, items: &[&'static str]| page.cut(items.to_vec(), |item| item).unwrap(),
            |page: PageOf, items: &[&'static str]| page.cut_by_name(items.to_vec(), |item| item),
        ];
        for cut in cuts {
            let (mut seen, mut cursor) = (Vec::new(), None);
            for _ in 0..2 {
                let page = cut(after(cursor.as_deref(), 2), &items);
                seen.extend(page.items);
                cursor = page.next;
            }
            assert_eq!((seen.as_slice(), cursor), (items.as_slice(), None));
            assert_eq!(cut(after(None, 4), &items).next, None, "a page that is just full is the last one");
        }
    }

    #[test]
    fn a_page_goes_on_after_a_name_that_is_gone() {
        for (gone, rest) in [("b", &["c", "d"][..]), ("a", &["a-1", "c", "d"]), ("0", &["a-1", "c", "d"]), ("e", &[])] {
            let page = after(Some(&encode(gone)), 9).cut_by_name(vec!["a-1", "c", "d"], |item| item);
            assert_eq!(page.items, rest, "{gone}");
        }
    }

    #[test]
    fn a_cursor_that_no_page_gave_is_refused() {
        for cursor in ["", "0", "zz", "+1", "ff"] {
            assert_eq!(decode(cursor), None, "{cursor}");
        }
        let page = PageOf { after: Some("gone".into()), limit: 1 };
        assert!(page.cut(vec!["a"], |item| item).is_err());
    }
}
