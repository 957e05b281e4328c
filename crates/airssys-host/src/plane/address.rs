//! Names of actors.

use std::sync::Arc;

/// The longest address, in bytes.
pub const LONGEST: usize = 512;

/// A deployment, or one of its keyed actors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `deployment`, or `deployment#key`.
    pub text: Arc<str>,
    pub deployment: Arc<str>,
    pub key: Arc<str>,
}

impl Address {
    /// Read an address.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("an address has at most {LONGEST} bytes"));
        }
        if text.chars().any(char::is_control) {
            return Err("an address has no control characters".to_owned());
        }
        let (deployment, key) = split(text);
        if deployment
            .split('/')
            .any(|segment| segment.is_empty() || segment == "." || segment == "..")
        {
            return Err(format!(
                "{text:?} is not an address: expected segments separated by `/`, then `#` and a key if any"
            ));
        }
        Ok(Self {
            deployment: deployment.into(),
            key: key.into(),
            // `name#` and `name` are the same actor.
            text: if key.is_empty() { deployment } else { text }.into(),
        })
    }

    /// The first segment.
    #[must_use]
    pub fn namespace(&self) -> &str {
        namespace(&self.deployment)
    }
}

/// Deployment and key of an address.
#[must_use]
pub fn split(text: &str) -> (&str, &str) {
    text.split_once('#').unwrap_or((text, ""))
}

/// The first segment of a deployment's name.
#[must_use]
pub fn namespace(deployment: &str) -> &str {
    deployment.split('/').next().unwrap_or(deployment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_deployment_and_a_key() {
        let plain = Address::parse("image/resizer").unwrap();
        assert_eq!((&*plain.deployment, &*plain.key), ("image/resizer", ""));
        assert_eq!(plain.namespace(), "image");
        let keyed = Address::parse("image/resizer#a#b").unwrap();
        assert_eq!((&*keyed.deployment, &*keyed.key), ("image/resizer", "a#b"));
        assert_eq!(Address::parse("image/resizer#").unwrap(), plain);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in ["", "#key", "a//b", "/a", "a/", "a/../b", "a\nb"] {
            assert!(Address::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Address::parse(&"a".repeat(LONGEST + 1)).is_err());
    }
}
