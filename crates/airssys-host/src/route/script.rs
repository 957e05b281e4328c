//! Scripts: what one raised reaches the caller as the error of a result, and is a failure of the revision all the
//! same.

use crate::component::Component;
use crate::value::Value;

/// What a component exports that runs scripts.
const CALL: &str = "airssys:script/program@1.0.0#call";
/// What the caller of a script did wrong: no fault of the script.
const OF_THE_CALLER: [&str; 2] = ["unknown-function", "arguments"];

/// Whether a component runs scripts.
pub(super) fn runs_scripts(component: &Component) -> bool {
    component.export(CALL).is_ok()
}

/// Whether what a call of a script returned is that the script failed.
pub(super) fn failed(answer: &Value) -> bool {
    let Value::Result(Err(Some(failure))) = answer else {
        return false;
    };
    let Value::Record(fields) = &**failure else {
        return false;
    };
    match fields.first() {
        Some(Value::String(kind)) => !OF_THE_CALLER.contains(&&**kind),
        _ => false,
    }
}
