//! Which deployment a request is for.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use crate::route::Route;

/// Which paths a rule is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathRule {
    Exact(String),
    /// The path itself, and all below it: `/api` has `/api/users`, not `/apis`.
    Prefix(String),
}

/// What answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handling {
    /// The component's HTTP handler.
    Http,
    /// A function that the path behind the rule's names, by a JSON body.
    Functions,
    /// One function, by a JSON body.
    Function(String),
}

/// Where a request has a key that keeps it on one side of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    Header(HeaderName),
    Cookie(String),
}

impl KeySource {
    /// The key, if the request has one.
    #[must_use]
    pub fn of<'a>(&self, headers: &'a HeaderMap) -> Option<&'a [u8]> {
        match self {
            Self::Header(name) => headers.get(name).map(http::HeaderValue::as_bytes),
            Self::Cookie(name) => {
                let values = headers.get_all(http::header::COOKIE).into_iter();
                values
                    .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
                    .find_map(|pair| {
                        pair.trim_ascii()
                            .strip_prefix(name.as_bytes())?
                            .strip_prefix(b"=")
                    })
            }
        }
    }
}

/// Where requests for a host and paths go.
#[derive(Clone)]
pub struct Rule {
    /// `example.com`; `*.example.com` for all below it; `None` for every host.
    pub host: Option<String>,
    pub path: PathRule,
    pub handling: Handling,
    pub key: Option<KeySource>,
    pub route: Arc<Route>,
    /// The deployment's name.
    pub name: Arc<str>,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("host", &self.host)
            .field("path", &self.path)
            .field("deployment", &self.name)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Paths {
    exact: HashMap<String, Arc<Rule>>,
    /// The longest first.
    prefixes: Vec<(String, Arc<Rule>)>,
}

impl Paths {
    /// The rule, and what the path has behind the rule's.
    fn find<'p>(&self, path: &'p str) -> Option<(&Arc<Rule>, &'p str)> {
        if let Some(rule) = self.exact.get(path) {
            return Some((rule, ""));
        }
        self.prefixes.iter().find_map(|(prefix, rule)| {
            let rest = path.strip_prefix(prefix.as_str())?;
            match rest.strip_prefix('/') {
                Some(below) => Some((rule, below)),
                None => rest.is_empty().then_some((rule, "")),
            }
        })
    }
}

/// Rules that are asked by host and path.
#[derive(Debug, Default)]
pub struct Rules {
    hosts: HashMap<String, Paths>,
    /// The labels behind `*.`, with the dot before them; the longest first.
    wildcards: Vec<(String, Paths)>,
    any: Paths,
}

/// A rule that cannot stand beside the others.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("a path begins with '/', and has no '?', '#', '..' or '%2f' in it; got '{0}'")]
    Path(String),
    #[error("a host is a name without port, or '*.' and a name; got '{0}'")]
    Host(String),
    #[error("'{first}' and '{second}' are both for {place}")]
    Twice {
        first: String,
        second: String,
        place: String,
    },
}

impl Rules {
    /// Arrange rules. An exact path wins over prefixes, a longer prefix over a shorter one; a rule for the host wins
    /// over one for all hosts below a name, and that over one for every host.
    ///
    /// # Errors
    /// The first rule that says nothing, or what another says.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Result<Self, RuleError> {
        let mut arranged = Self::default();
        for rule in rules {
            arranged.add(Arc::new(rule))?;
        }
        let every = arranged
            .hosts
            .values_mut()
            .chain(arranged.wildcards.iter_mut().map(|(_, paths)| paths))
            .chain(std::iter::once(&mut arranged.any));
        for paths in every {
            paths
                .prefixes
                .sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        }
        arranged
            .wildcards
            .sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        Ok(arranged)
    }

    fn add(&mut self, rule: Arc<Rule>) -> Result<(), RuleError> {
        let paths = match &rule.host {
            None => &mut self.any,
            Some(host) => {
                let name = host.strip_prefix("*.").unwrap_or(host);
                let fits = |byte: u8| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._[]:".contains(&byte)
                };
                let bare = !name.contains(':') || name.starts_with('[');
                if name.is_empty() || !bare || !name.bytes().all(fits) {
                    return Err(RuleError::Host(host.clone()));
                }
                if let Some(suffix) = host.strip_prefix('*') {
                    let known = self.wildcards.iter().position(|(known, _)| known == suffix);
                    let index = known.unwrap_or_else(|| {
                        self.wildcards.push((suffix.to_owned(), Paths::default()));
                        self.wildcards.len() - 1
                    });
                    &mut self.wildcards[index].1
                } else {
                    self.hosts.entry(host.clone()).or_default()
                }
            }
        };
        let (PathRule::Exact(path) | PathRule::Prefix(path)) = &rule.path;
        if !path.starts_with('/') || path.contains(['?', '#']) || !is_plain(path) {
            return Err(RuleError::Path(path.clone()));
        }
        let earlier = match &rule.path {
            PathRule::Exact(path) => paths.exact.insert(path.clone(), rule.clone()),
            PathRule::Prefix(path) => {
                let path = path.trim_end_matches('/');
                let known = paths.prefixes.iter().find(|(known, _)| known == path);
                let known = known.map(|(_, rule)| rule.clone());
                paths.prefixes.push((path.to_owned(), rule.clone()));
                known
            }
        };
        match earlier {
            None => Ok(()),
            Some(earlier) => Err(RuleError::Twice {
                first: earlier.name.to_string(),
                second: rule.name.to_string(),
                place: format!("{}{path}", rule.host.as_deref().unwrap_or_default()),
            }),
        }
    }

    /// The rule for a request to `host` (in lower case, without port), and what its path has behind the rule's.
    #[must_use]
    pub fn find<'p>(&self, host: &str, path: &'p str) -> Option<(&Arc<Rule>, &'p str)> {
        if let Some(found) = self.hosts.get(host).and_then(|paths| paths.find(path)) {
            return Some(found);
        }
        for (suffix, paths) in &self.wildcards {
            if host.len() > suffix.len()
                && host.ends_with(suffix.as_str())
                && let Some(found) = paths.find(path)
            {
                return Some(found);
            }
        }
        self.any.find(path)
    }
}

/// Whether every reader reads a path alike: no dot segments, nothing that decodes to one or to a slash.
#[must_use]
pub fn is_plain(path: &str) -> bool {
    path.split('/').all(|segment| {
        if !segment.contains(['%', '.', '\\']) {
            return true;
        }
        let lower = segment.to_ascii_lowercase();
        let dots = lower.replace("%2e", ".");
        dots != "."
            && dots != ".."
            && !lower.contains("%2f")
            && !lower.contains("%5c")
            && !lower.contains("%00")
            && !lower.contains('\\')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(host: Option<&str>, path: PathRule, name: &str) -> Rule {
        Rule {
            host: host.map(str::to_owned),
            path,
            handling: Handling::Http,
            key: None,
            route: Arc::default(),
            name: name.into(),
        }
    }

    fn exact(path: &str) -> PathRule {
        PathRule::Exact(path.to_owned())
    }

    fn prefix(path: &str) -> PathRule {
        PathRule::Prefix(path.to_owned())
    }

    #[test]
    fn the_nearest_rule_is_found() {
        let rules = Rules::new([
            rule(None, prefix("/"), "site"),
            rule(None, prefix("/api"), "api"),
            rule(None, prefix("/api/v2/"), "api2"),
            rule(None, exact("/api/health"), "health"),
            rule(Some("admin.example.com"), prefix("/"), "admin"),
            rule(Some("*.example.com"), exact("/only"), "below"),
        ])
        .expect("rules that fit");
        let found = |host, path| {
            rules
                .find(host, path)
                .map(|(rule, rest)| (&*rule.name, rest))
        };
        for (host, path, expected) in [
            ("a", "/", ("site", "")),
            ("a", "/x/y", ("site", "x/y")),
            ("a", "/api", ("api", "")),
            ("a", "/api/", ("api", "")),
            ("a", "/apis", ("site", "apis")),
            ("a", "/api/v2", ("api2", "")),
            ("a", "/api/v2/f", ("api2", "f")),
            ("a", "/api/health", ("health", "")),
            ("a", "/api/health/x", ("api", "health/x")),
            ("admin.example.com", "/api", ("admin", "api")),
            ("b.example.com", "/only", ("below", "")),
            ("example.com", "/only", ("site", "only")),
            (".example.com", "/only", ("site", "only")),
            ("b.example.com", "/api", ("api", "")),
        ] {
            assert_eq!(found(host, path), Some(expected), "{host}{path}");
        }
        let none = Rules::new([rule(Some("a"), exact("/x"), "one")]).expect("a rule");
        assert!(none.find("a", "/y").is_none() && none.find("b", "/x").is_none());
    }

    #[test]
    fn rules_that_say_nothing_or_the_same_are_refused() {
        for path in ["", "x", "/a?b", "/a#b", "/a/../b", "/a%2Fb", "/%2e%2E"] {
            let refused = Rules::new([rule(None, prefix(path), "one")]);
            assert_eq!(refused.err(), Some(RuleError::Path(path.to_owned())));
        }
        for host in ["", "*.", "a:80", "A", "*a", "a/b"] {
            let refused = Rules::new([rule(Some(host), prefix("/"), "one")]);
            assert_eq!(refused.err(), Some(RuleError::Host(host.to_owned())));
        }
        let twice = Rules::new([
            rule(Some("a"), prefix("/x"), "one"),
            rule(Some("a"), prefix("/x/"), "two"),
        ]);
        let error = twice.expect_err("both are for the same");
        assert_eq!(error.to_string(), "'one' and 'two' are both for a/x/");
    }

    #[test]
    fn a_path_that_servers_read_in_different_ways_is_not_plain() {
        for path in [
            "/..",
            "/a/./b",
            "/a/%2e%2e/b",
            "/a/.%2E",
            "/a%2fb",
            "/a\\b",
            "/a%5Cb",
            "/%00",
        ] {
            assert!(!is_plain(path), "{path}");
        }
        for path in ["/", "/a.b/c..d/...", "/a%20b", "/%41"] {
            assert!(is_plain(path), "{path}");
        }
    }

    #[test]
    fn a_key_comes_from_a_header_or_a_cookie() {
        let mut headers = HeaderMap::new();
        headers.insert("x-user", "ann".parse().expect("a value"));
        headers.append("cookie", "a=1; session=xyz; b=".parse().expect("a value"));
        headers.append("cookie", "late=2".parse().expect("a value"));
        let header = KeySource::Header(HeaderName::from_static("x-user"));
        assert_eq!(header.of(&headers), Some(&b"ann"[..]));
        let cookie = |name: &str| KeySource::Cookie(name.to_owned()).of(&headers);
        assert_eq!(cookie("session"), Some(&b"xyz"[..]));
        assert_eq!(cookie("late"), Some(&b"2"[..]));
        assert_eq!(cookie("b"), Some(&b""[..]));
        assert_eq!(cookie("sess"), None);
    }
}
