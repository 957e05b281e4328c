//! Calls as people type them: any text is a call of one of a component's functions or one error, and arguments
//! that were read are written and read again as the same.

use std::sync::OnceLock;

use airssys_host::component::{Component, Loading};
use airssys_host::engine::static_limits::StaticLimits;
use airssys_host::error::Error;
use airssys_host::value::wave;

/// A function for every kind of type that has text.
const SOURCE: &str = include_str!("calls_by_text.wat");

fn component() -> &'static Component {
    static COMPONENT: OnceLock<Component> = OnceLock::new();
    COMPONENT.get_or_init(|| {
        let binary =
            airssys_host::component::to_binary(SOURCE.as_bytes(), None).expect("it is a component");
        let loading = Loading {
            limits: StaticLimits::default(),
            cache: None,
            in_process: true,
            progress: &mut |_| {},
            interrupted: &mut || false,
            report: &mut |reason| panic!("{reason}"),
        };
        Component::load(&binary, loading).expect("it is a component")
    })
}

/// One input.
pub fn one(text: &str) {
    let component = component();
    let (export, values) = match wave::parse_call(component, text) {
        Ok(call) => call,
        Err(Error::UnknownExport { .. } | Error::Text(_)) => return,
        Err(other) => panic!("{text:?} ended with {other:?}"),
    };
    let function = &component.exports[export];
    assert_eq!(values.len(), function.ty.params.len());
    let written: Vec<String> = values
        .iter()
        .zip(&function.ty.params)
        .map(|(value, param)| {
            wave::print(&component.native.engine, &param.ty, value.clone()).expect("it has text")
        })
        .collect();
    let call = format!("{}({})", function.path(), written.join(", "));
    let (again, read) = wave::parse_call(component, &call).expect("what was written is read");
    assert_eq!(again, export);
    let rewritten: Vec<String> = read
        .into_iter()
        .zip(&function.ty.params)
        .map(|(value, param)| {
            wave::print(&component.native.engine, &param.ty, value).expect("it has text")
        })
        .collect();
    assert_eq!(written, rewritten, "{call}");
}
