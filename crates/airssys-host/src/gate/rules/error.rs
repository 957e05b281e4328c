//! Why a document of rules was refused.

/// Why a document of rules was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    pub rule: Option<String>,
    pub index: Option<usize>,
    pub position: Option<String>,
    pub field: Option<&'static str>,
    pub message: String,
}

impl std::fmt::Display for RuleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(position) = &self.position {
            write!(f, "{position}: ")?;
        }
        match (&self.rule, self.index) {
            (Some(rule), _) => write!(f, "rule `{rule}`: ")?,
            (None, Some(index)) => write!(f, "rule number {}: ", index + 1)?,
            (None, None) => {}
        }
        if let Some(field) = self.field {
            write!(f, "`{field}`: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for RuleError {}
