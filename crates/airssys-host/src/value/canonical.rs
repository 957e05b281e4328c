//! A digest of values by which two answers are compared.

use blake3::Hasher;

use super::Value;

impl Value {
    /// The same for values that mean the same: one kind of NaN outside of lists of numbers, entries of maps in any
    /// order. Handles count as what they are called, since none means anything to another instance.
    #[must_use]
    pub fn digest(value: Option<&Self>) -> [u8; blake3::OUT_LEN] {
        let mut hasher = Hasher::new();
        optional(value, &mut hasher);
        *hasher.finalize().as_bytes()
    }

    fn hash_into(&self, hasher: &mut Hasher) {
        let tag = match self {
            Self::Bool(_) => 0,
            Self::S8(_) => 1,
            Self::U8(_) => 2,
            Self::S16(_) => 3,
            Self::U16(_) => 4,
            Self::S32(_) => 5,
            Self::U32(_) => 6,
            Self::S64(_) => 7,
            Self::U64(_) => 8,
            Self::F32(_) => 9,
            Self::F64(_) => 10,
            Self::Char(_) => 11,
            Self::String(_) => 12,
            Self::Bytes(_) => 13,
            Self::List(_) => 14,
            Self::Map(_) => 15,
            Self::Record(_) => 16,
            Self::Variant(..) => 17,
            Self::Enum(_) => 18,
            Self::Option(_) => 19,
            Self::Result(Ok(_)) => 20,
            Self::Result(Err(_)) => 21,
            Self::Flags(_) => 22,
            Self::Resource(_) | Self::HostResource { .. } => 23,
            Self::Future(_) | Self::Stream(_) | Self::Outgoing(_) | Self::Incoming(_) => 24,
            Self::ErrorContext(_) => 25,
        };
        hasher.update(&[tag]);
        match self {
            Self::Bool(value) => sized(&[u8::from(*value)], hasher),
            Self::S8(value) => sized(&value.to_le_bytes(), hasher),
            Self::U8(value) => sized(&value.to_le_bytes(), hasher),
            Self::S16(value) => sized(&value.to_le_bytes(), hasher),
            Self::U16(value) => sized(&value.to_le_bytes(), hasher),
            Self::S32(value) => sized(&value.to_le_bytes(), hasher),
            Self::U32(value) | Self::Enum(value) | Self::Flags(value) => {
                sized(&value.to_le_bytes(), hasher);
            }
            Self::S64(value) => sized(&value.to_le_bytes(), hasher),
            Self::U64(value) => sized(&value.to_le_bytes(), hasher),
            Self::F32(value) if value.is_nan() => sized(b"nan", hasher),
            Self::F32(value) => sized(&value.to_le_bytes(), hasher),
            Self::F64(value) if value.is_nan() => sized(b"nan", hasher),
            Self::F64(value) => sized(&value.to_le_bytes(), hasher),
            Self::Char(value) => sized(&u32::from(*value).to_le_bytes(), hasher),
            Self::String(text) => sized(text.as_bytes(), hasher),
            Self::Bytes(bytes) => sized(bytes, hasher),
            Self::List(values) | Self::Record(values) => {
                hasher.update(&(values.len() as u64).to_le_bytes());
                values.iter().for_each(|value| value.hash_into(hasher));
            }
            Self::Map(entries) => {
                let mut digests: Vec<_> = entries
                    .iter()
                    .map(|(key, value)| (Self::digest(Some(key)), Self::digest(Some(value))))
                    .collect();
                digests.sort_unstable();
                hasher.update(&(digests.len() as u64).to_le_bytes());
                for (key, value) in digests {
                    hasher.update(&key).update(&value);
                }
            }
            Self::Variant(case, value) => {
                hasher.update(&case.to_le_bytes());
                optional(value.as_deref(), hasher);
            }
            Self::Option(value) | Self::Result(Ok(value) | Err(value)) => {
                optional(value.as_deref(), hasher);
            }
            Self::Resource(_)
            | Self::HostResource { .. }
            | Self::Future(_)
            | Self::Stream(_)
            | Self::Outgoing(_)
            | Self::Incoming(_)
            | Self::ErrorContext(_) => {}
        }
    }
}

fn sized(bytes: &[u8], hasher: &mut Hasher) {
    hasher
        .update(&(bytes.len() as u64).to_le_bytes())
        .update(bytes);
}

fn optional(value: Option<&Value>, hasher: &mut Hasher) {
    hasher.update(&[u8::from(value.is_some())]);
    if let Some(value) = value {
        value.hash_into(hasher);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(one: &Value, other: &Value) -> bool {
        Value::digest(Some(one)) == Value::digest(Some(other))
    }

    #[test]
    fn what_means_the_same_has_one_digest() {
        let nan = f64::from_bits(f64::NAN.to_bits() | 7);
        assert!(same(&Value::F64(f64::NAN), &Value::F64(nan)));
        let entry = |key: &str, value| (Value::from(key), Value::U32(value));
        let map = |entries: [_; 2]| Value::Map(entries.into());
        assert!(same(
            &map([entry("a", 1), entry("b", 2)]),
            &map([entry("b", 2), entry("a", 1)])
        ));
    }

    #[test]
    fn what_differs_has_another() {
        let text = Value::from;
        let list = Value::List;
        let some = |value| Value::Option(Some(Box::new(value)));
        for (one, other) in [
            (Value::U32(1), Value::S32(1)),
            (Value::F64(0.0), Value::F64(-0.0)),
            (
                list(vec![text("ab"), text("c")]),
                list(vec![text("a"), text("bc")]),
            ),
            (
                list(vec![list(vec![]), list(vec![])]),
                list(vec![list(vec![list(vec![])])]),
            ),
            (Value::Option(None), some(Value::Option(None))),
            (Value::Result(Ok(None)), Value::Result(Err(None))),
            (Value::Variant(0, None), Value::Variant(1, None)),
            (
                Value::Map(vec![(text("a"), text("b"))]),
                Value::Map(vec![(text("b"), text("a"))]),
            ),
        ] {
            assert!(!same(&one, &other), "{one:?} and {other:?}");
        }
        assert_ne!(Value::digest(None), Value::digest(Some(&Value::UNIT)));
    }
}
