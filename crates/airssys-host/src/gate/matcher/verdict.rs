//! What the rules say of an access, and why.

/// What the rules say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A rule allows it; or, without a rule, the kind is given by default.
    Allow,
    Deny,
    /// A rule could not be decided, which denies.
    RuleError,
    RequireApproval,
    NotGranted,
}

/// An outcome, and the rule it rests on.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    pub outcome: Outcome,
    pub(super) rule: u32,
    /// A rule erred, whatever the outcome.
    pub alarm: bool,
    /// Some rule that matched wants its record durable before the effect.
    pub must_audit: bool,
    /// What is missing where the outcome is [`Outcome::NotGranted`] and something is there.
    pub lack: Option<Lack>,
}

/// The part that a component lacks of a right that it has in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    Request,
    Grant,
    Ceiling,
}

impl Lack {
    /// What stands in the place of a rule in records.
    pub const fn rule(self) -> &'static str {
        match self {
            Lack::Request => "not-requested",
            Lack::Grant => "not-granted",
            Lack::Ceiling => "beyond-policy",
        }
    }

    pub const fn text(self) -> &'static str {
        match self {
            Lack::Request => "it is granted, but the component does not ask for it",
            Lack::Grant => "the component asks for it, but it is not granted",
            Lack::Ceiling => "it is granted, but no rule of the policy allows it",
        }
    }
}

/// Why a rule counted or did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Applies,
    OtherAudience,
    OtherAccess,
    OtherPlace,
    OtherArguments,
    AddressNotAllowed,
    AddressMissing,
    Expired,
    OtherCallers,
    ConditionFalse,
    ConditionError,
}

impl Reason {
    pub const fn text(self) -> &'static str {
        match self {
            Reason::Applies => "applies",
            Reason::OtherAudience => "is for components",
            Reason::OtherAccess => "names other accesses",
            Reason::OtherPlace => "names another port, scheme or transport",
            Reason::OtherArguments => "names other arguments",
            Reason::AddressNotAllowed => {
                "the name leads to an address outside the rule's addresses"
            }
            Reason::AddressMissing => "the name was not resolved to an address yet",
            Reason::Expired => "has expired",
            Reason::OtherCallers => "names other callers",
            Reason::ConditionFalse => "its condition is false",
            Reason::ConditionError => "its condition could not be decided",
        }
    }
}
