//! A component asking what it may do. It names files as it sees them, which is not how rules do.

use std::path::Path;
use std::sync::Arc;

use super::wit::capabilities::Host;
use super::wit::types::{Capability, Decision, SecurityError};
use crate::gate::authority::Answer;
use crate::gate::kind::Kind;
use crate::gate::{Access, Decision as Gated, Denial};
use crate::instance::State;
use crate::wasi::Mounts;

const NO_RULES: &str = "no rules decide for this component, so there is nothing to ask them";

/// A capability in the words of the rules.
struct Wanted {
    kind: Kind,
    access: String,
    target: String,
}

impl State {
    fn wanted(&self, wanted: Capability) -> Result<Wanted, SecurityError> {
        let Capability {
            kind,
            access,
            target,
        } = wanted;
        let known = Kind::parse(&kind).ok_or_else(|| {
            let known = Kind::ALL.map(Kind::name).join(", ");
            SecurityError::UnknownAccess(format!("`{kind}` is not one of {known}"))
        })?;
        if known.access_bit(&access).is_none() {
            return Err(SecurityError::UnknownAccess(format!(
                "`{access}` is not an access of {kind}: {}",
                known.accesses().join(", ")
            )));
        }
        let target = match known {
            Kind::Filesystem => self.wasi.mounts().host_path(&target).ok_or_else(|| {
                SecurityError::InvalidTarget(format!("`{target}` is in no directory given here"))
            })?,
            _ => target,
        };
        Ok(Wanted {
            kind: known,
            access,
            target,
        })
    }
}

impl Host for State {
    fn mine(&mut self) -> Vec<Capability> {
        let mounts = self.wasi.mounts();
        let Some(rules) = self.rules() else {
            return Vec::new();
        };
        let shown = |kind: Kind, target: &str| match kind {
            Kind::Filesystem => mounts.guest_path(target),
            _ => Some(target.to_owned()),
        };
        let mut mine = Vec::new();
        for (kind, access, target) in rules.rights() {
            if let Some(target) = shown(kind, &target) {
                mine.push(Capability {
                    kind: kind.name().to_owned(),
                    access: access.to_owned(),
                    target,
                });
            }
        }
        mine
    }

    fn check(&mut self, wanted: Capability) -> Result<Decision, SecurityError> {
        let rules = self
            .rules()
            .ok_or_else(|| SecurityError::UnknownAccess(NO_RULES.to_owned()))?;
        let wanted = self.wanted(wanted)?;
        let explained = rules
            .explain(wanted.kind, &wanted.access, &wanted.target)
            .map_err(SecurityError::InvalidTarget)?;
        Ok(match explained.answer {
            Answer::Allow => Decision::Allowed,
            Answer::Ask => Decision::NeedsApproval,
            Answer::Deny => Decision::Denied(explained.rule.as_str().to_owned()),
        })
    }

    async fn request(&mut self, wanted: Capability, reason: String) -> Result<(), SecurityError> {
        if self.rules().is_none() {
            return Err(SecurityError::UnknownAccess(NO_RULES.to_owned()));
        }
        let wanted = self.wanted(wanted)?;
        let gate = Arc::clone(self.wasi.gate());
        loop {
            let decided = gate.decide(&Access::Stated {
                kind: wanted.kind,
                access: &wanted.access,
                text: &wanted.target,
                reason: &reason,
            });
            match decided {
                Gated::Allow => return Ok(()),
                Gated::Deny(Denial { rule }) => return Err(SecurityError::Denied(rule)),
                Gated::Ask(answer) => {
                    if !answer.await {
                        return Err(SecurityError::Denied("nobody approved it".to_owned()));
                    }
                }
            }
        }
    }
}

impl Mounts<'_> {
    /// What the guest calls `path`, where rules call it what is returned.
    fn host_path(&self, path: &str) -> Option<String> {
        let path = path
            .strip_suffix('/')
            .filter(|path| !path.is_empty())
            .unwrap_or(path);
        let (host, rest) = self
            .all()
            .filter_map(|(host, guest)| Some((host, below(path, guest)?)))
            .min_by_key(|(_, rest)| rest.len())?;
        if rest.split('/').any(|part| part == ".." || part == ".") {
            return None;
        }
        joined(host.to_str()?, rest)
    }

    /// What rules call `pattern`, as the guest sees it.
    fn guest_path(&self, pattern: &str) -> Option<String> {
        let (guest, rest) = self
            .all()
            .filter_map(|(host, guest)| Some((guest, below(pattern, host.to_str()?)?)))
            .min_by_key(|(_, rest)| rest.len())?;
        joined(guest, rest)
    }

    fn all(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.0
            .iter()
            .map(|(object, guest)| (object.path.as_path(), guest.as_str()))
    }
}

/// What follows `directory` in `path`, without the separator.
fn below<'a>(path: &'a str, directory: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(directory.trim_end_matches('/'))?;
    if rest.is_empty() {
        return Some(rest);
    }
    rest.strip_prefix('/')
}

fn joined(directory: &str, rest: &str) -> Option<String> {
    let directory = directory.trim_end_matches('/');
    match (directory.is_empty(), rest.is_empty()) {
        (true, true) => Some("/".to_owned()),
        (_, true) => Some(directory.to_owned()),
        _ => Some(format!("{directory}/{rest}")),
    }
}
