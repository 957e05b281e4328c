//! Documents of rules: any bytes are a document or one error that says what is wrong.

use airssys_host::gate::matcher::RuleSet;
use airssys_host::gate::rules::parse_rules;

/// One input.
pub fn one(bytes: &[u8]) {
    match parse_rules(bytes) {
        Ok(rules) => {
            let set = RuleSet::compile(bytes).expect("what was read compiles");
            assert_eq!(set.len(), rules.list.len());
            let ids: Vec<&str> = rules.list.iter().map(|rule| &*rule.id).collect();
            assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
        }
        Err(error) => assert!(!error.message.is_empty() && !error.to_string().is_empty()),
    }
}
