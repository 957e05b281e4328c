//! To whom a rule applies.

use super::super::pattern::{Segment, matches_sequence, parse_segments};
use super::super::subject::Subject;

/// To whom a rule applies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Selector {
    Everybody,
    Name(String),
    Role(String),
    Namespace(String),
    /// One revision of a deployment: `image/resizer@3`.
    Revision(String),
    /// Names of this form: `image/*`, `acme/**`.
    Names(Vec<Segment>),
}

impl Selector {
    /// Whether the rules for it are rules for `subject`.
    pub fn selects(&self, subject: &Subject) -> bool {
        match self {
            Selector::Everybody => true,
            Selector::Name(name) => *name == subject.name,
            Selector::Role(role) => subject.roles.contains(role),
            Selector::Namespace(namespace) => subject.namespace.as_ref() == Some(namespace),
            Selector::Revision(revision) => subject
                .revision
                .is_some_and(|number| *revision == format!("{}@{number}", subject.name)),
            Selector::Names(pattern) => {
                let name: Vec<&[u8]> = subject
                    .name
                    .as_bytes()
                    .split(|byte| *byte == b'/')
                    .collect();
                matches_sequence(pattern, &name)
            }
        }
    }
}

pub(super) fn parse_selector(text: &str) -> Result<Selector, String> {
    if text == "*" {
        return Ok(Selector::Everybody);
    }
    let expected =
        || format!("`{text}` is not `*`, `name:…`, `role:…`, `namespace:…` or `revision:…`");
    let (form, name) = text.split_once(':').ok_or_else(expected)?;
    if name.is_empty() || name.contains('*') && form != "name" {
        return Err(format!(
            "`{text}`: roles and namespaces are exact; patterns are for names, as in `name:image/*`"
        ));
    }
    match form {
        "name" if name.contains('*') => parse_segments(name.as_bytes(), b'/').map(Selector::Names),
        "name" => Ok(Selector::Name(name.to_owned())),
        "role" => Ok(Selector::Role(name.to_owned())),
        "namespace" => Ok(Selector::Namespace(name.to_owned())),
        "revision" if name.contains('@') => Ok(Selector::Revision(name.to_owned())),
        _ => Err(expected()),
    }
}
