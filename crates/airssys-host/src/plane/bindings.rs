//! The host's side of the WIT packages, generated from them.

use wasmtime::component::bindgen;

bindgen!({
    path: ["../../wit/core", "../../wit/messaging"],
    inline: "
        package airssys:host-side;
        world plane {
            import airssys:core/types@1.0.0;
            import airssys:core/host@1.0.0;
            import airssys:core/timers@1.0.0;
            import airssys:messaging/messaging@1.0.0;
            import airssys:messaging/topics@1.0.0;
            export airssys:core/lifecycle@1.0.0;
            export airssys:core/handler@1.0.0;
            export airssys:core/state@1.0.0;
        }
    ",
    world: "airssys:host-side/plane",
    ownership: Borrowing { duplicate_if_necessary: true },
    imports: {
        "airssys:core/host@1.0.0.sleep": async,
        "airssys:messaging/messaging@1.0.0.ask": async,
        "airssys:messaging/messaging@1.0.0.send": async,
    },
    exports: { default: async },
});

pub use airssys::core::{host, timers, types};
pub use airssys::messaging::{messaging, topics};
pub use exports::airssys::core::handler::{Guest as Handler, GuestIndices as HandlerIndices};
pub use exports::airssys::core::lifecycle::{
    Guest as Lifecycle, GuestIndices as LifecycleIndices, ShutdownReason,
};
pub use exports::airssys::core::state::{Guest as StateExport, GuestIndices as StateIndices};
