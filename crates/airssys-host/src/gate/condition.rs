//! Conditions on attributes, decided in three values: true, false, error.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use super::address::canonical;
use super::callers::Callers;
use super::network::Network;

/// What an attribute can hold.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Attribute {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<String>),
}

pub type Attributes = BTreeMap<String, Attribute>;

/// How a condition came out. An error denies the access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    True,
    False,
    Error,
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Truth::True } else { Truth::False }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operator {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    Contains,
    Prefix,
    Suffix,
    Exists,
    /// An address that lies in one of these networks.
    Network,
}

/// An operand of a comparison, as a rule writes it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Operand {
    One(Attribute),
    Many(Vec<Attribute>),
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Condition {
    All { all: Vec<Condition> },
    AnyOf { any: Vec<Condition> },
    Not { not: Box<Condition> },
    Compare(Comparison),
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    pub attribute: String,
    pub op: Operator,
    pub value: Operand,
}

/// Where the attributes of one access come from.
pub struct Facts<'a> {
    pub principal: &'a str,
    pub namespace: &'a str,
    pub callers: Option<&'a Callers>,
    /// Set with the principal by whoever made it; wins over `call`.
    pub subject: &'a Attributes,
    pub call: &'a Attributes,
}

impl Facts<'_> {
    fn get(&self, name: &str) -> Option<Attribute> {
        let text = |value: &str| Some(Attribute::Text(value.to_owned()));
        match name {
            "principal.name" => text(self.principal),
            "principal.namespace" => text(self.namespace),
            "caller" => text(self.callers.map_or("", |callers| &callers.original().name)),
            "callers" => Some(Attribute::List(
                self.callers
                    .into_iter()
                    .flat_map(Callers::names)
                    .map(str::to_owned)
                    .collect(),
            )),
            "time.unix" => Some(Attribute::Float(unix_seconds())),
            "time.minute" => Some(Attribute::Int(
                (unix_seconds() as i64).rem_euclid(86_400) / 60,
            )),
            // 1970-01-01 was a Thursday.
            "time.weekday" => Some(Attribute::Int(
                ((unix_seconds() as i64).div_euclid(86_400) + 3).rem_euclid(7),
            )),
            _ => self
                .subject
                .get(name)
                .or_else(|| self.call.get(name))
                .cloned(),
        }
    }
}

/// Seconds since 1970 by the wall clock.
pub fn unix_seconds() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

impl Condition {
    /// Check what a type alone cannot: operands that fit their operators, and depth.
    ///
    /// # Errors
    /// Says which comparison is wrong and what it takes.
    pub fn validate(&self, depth: usize) -> Result<(), String> {
        if depth > 16 {
            return Err("conditions nest more than 16 deep".to_owned());
        }
        match self {
            Condition::All { all: several } | Condition::AnyOf { any: several } => {
                if several.is_empty() {
                    return Err("`all` and `any` need at least one condition".to_owned());
                }
                several.iter().try_for_each(|one| one.validate(depth + 1))
            }
            Condition::Not { not } => not.validate(depth + 1),
            Condition::Compare(comparison) => comparison.validate(),
        }
    }

    /// Decide for `facts`, whatever the order of the parts.
    pub fn decide(&self, facts: &Facts<'_>) -> Truth {
        match self {
            Condition::All { all } => combine(all, facts, Truth::False, Truth::True),
            Condition::AnyOf { any } => combine(any, facts, Truth::True, Truth::False),
            Condition::Not { not } => match not.decide(facts) {
                Truth::True => Truth::False,
                Truth::False => Truth::True,
                Truth::Error => Truth::Error,
            },
            Condition::Compare(comparison) => comparison.decide(facts),
        }
    }
}

/// `decisive` decides alone; else an error; else `otherwise`.
fn combine(parts: &[Condition], facts: &Facts<'_>, decisive: Truth, otherwise: Truth) -> Truth {
    let mut result = otherwise;
    for part in parts {
        match part.decide(facts) {
            truth if truth == decisive => return decisive,
            Truth::Error => result = Truth::Error,
            _ => {}
        }
    }
    result
}

impl Comparison {
    fn validate(&self) -> Result<(), String> {
        let name = &self.attribute;
        let fits = match (self.op, &self.value) {
            // A JSON list of texts parses as one attribute; any other list as many.
            (Operator::In, Operand::One(value)) => matches!(value, Attribute::List(_)),
            (Operator::In, Operand::Many(_)) => true,
            (Operator::Network, Operand::One(Attribute::List(ranges))) if !ranges.is_empty() => {
                for range in ranges {
                    Network::parse(range).map_err(|problem| format!("`{name}`: {problem}"))?;
                }
                true
            }
            (Operator::Network, _) => false,
            (_, Operand::Many(_)) => false,
            (Operator::Exists, Operand::One(value)) => matches!(value, Attribute::Bool(_)),
            (Operator::Prefix | Operator::Suffix | Operator::Contains, Operand::One(value)) => {
                matches!(value, Attribute::Text(_))
            }
            (Operator::Lt | Operator::Le | Operator::Gt | Operator::Ge, Operand::One(value)) => {
                !matches!(value, Attribute::Bool(_) | Attribute::List(_))
            }
            (Operator::Eq | Operator::Ne, Operand::One(_)) => true,
        };
        if fits {
            Ok(())
        } else {
            Err(format!(
                "`{name}`: `in` takes a list, `network` a list of address ranges, `exists` true or false, `prefix`, `suffix` and `contains` a text, \
                 an order a number or a text"
            ))
        }
    }

    fn decide(&self, facts: &Facts<'_>) -> Truth {
        let found = facts.get(&self.attribute);
        if self.op == Operator::Exists {
            let wanted = matches!(self.value, Operand::One(Attribute::Bool(true)));
            return Truth::from(found.is_some() == wanted);
        }
        let Some(found) = found else {
            return Truth::Error;
        };
        match (&self.value, self.op) {
            (Operand::Many(values), _) => contained(&found, values.iter()),
            (Operand::One(Attribute::List(ranges)), Operator::Network) => match &found {
                Attribute::Text(text) => in_networks(text, ranges),
                _ => Truth::Error,
            },
            (Operand::One(Attribute::List(texts)), Operator::In) => match &found {
                Attribute::Text(text) => Truth::from(texts.contains(text)),
                _ => Truth::Error,
            },
            (Operand::One(Attribute::Text(part)), Operator::Prefix) => {
                on_text(&found, |text| text.starts_with(part.as_str()))
            }
            (Operand::One(Attribute::Text(part)), Operator::Suffix) => {
                on_text(&found, |text| text.ends_with(part.as_str()))
            }
            (Operand::One(Attribute::Text(part)), Operator::Contains) => match &found {
                Attribute::List(items) => Truth::from(items.contains(part)),
                _ => on_text(&found, |text| text.contains(part.as_str())),
            },
            (Operand::One(value), operator) => match compare(&found, value) {
                None => Truth::Error,
                Some(order) => Truth::from(match operator {
                    Operator::Eq => order == Ordering::Equal,
                    Operator::Ne => order != Ordering::Equal,
                    Operator::Lt => order == Ordering::Less,
                    Operator::Le => order != Ordering::Greater,
                    Operator::Gt => order == Ordering::Greater,
                    Operator::Ge => order != Ordering::Less,
                    _ => return Truth::Error,
                }),
            },
        }
    }
}

fn on_text(value: &Attribute, test: impl Fn(&str) -> bool) -> Truth {
    match value {
        Attribute::Text(text) => Truth::from(test(text)),
        _ => Truth::Error,
    }
}

/// Whether a text is an address in one of `ranges`. A name is in none; what is nearly an address, such as
/// one with a port or in octal, is an error, because it could be meant for any.
fn in_networks(text: &str, ranges: &[String]) -> Truth {
    let Ok(address) = text.parse::<IpAddr>() else {
        let digits = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
        let hexadecimal = |label: &str| label.starts_with("0x") || label.starts_with("0X");
        let last = text
            .trim_end_matches('.')
            .rsplit('.')
            .next()
            .unwrap_or_default();
        let nearly = text.is_empty()
            || text.contains([':', '/', '%', '['])
            || digits(last)
            || hexadecimal(last);
        return if nearly { Truth::Error } else { Truth::False };
    };
    let address = canonical(address);
    Truth::from(
        ranges
            .iter()
            .any(|range| Network::parse(range).is_ok_and(|range| range.contains(address))),
    )
}

fn contained<'a>(found: &Attribute, mut values: impl Iterator<Item = &'a Attribute>) -> Truth {
    // One value of the right type settles that the comparison makes sense.
    let mut comparable = false;
    let hit = values.any(|value| {
        let order = compare(found, value);
        comparable |= order.is_some();
        order == Some(Ordering::Equal)
    });
    if hit {
        Truth::True
    } else if comparable {
        Truth::False
    } else {
        Truth::Error
    }
}

/// The order of two values of one type; integers and floats are one type; `None` for different types.
fn compare(left: &Attribute, right: &Attribute) -> Option<Ordering> {
    match (left, right) {
        (Attribute::Bool(left), Attribute::Bool(right)) => Some(left.cmp(right)),
        (Attribute::Int(left), Attribute::Int(right)) => Some(left.cmp(right)),
        (Attribute::Int(left), Attribute::Float(right)) => (*left as f64).partial_cmp(right),
        (Attribute::Float(left), Attribute::Int(right)) => left.partial_cmp(&(*right as f64)),
        (Attribute::Float(left), Attribute::Float(right)) => left.partial_cmp(right),
        (Attribute::Text(left), Attribute::Text(right)) => Some(left.cmp(right)),
        (Attribute::List(left), Attribute::List(right)) => Some(left.cmp(right)),
        _ => None,
    }
}
