//! Host services: interfaces beyond WASI that are linked into whatever imports them, and what each instance has
//! of them.

use std::any::{Any, TypeId};
use std::sync::Arc;

use wasmtime::component::Linker;

use crate::error::Error;
use crate::instance::State;

/// A WIT package that the host implements.
struct Package {
    provides: fn(&str) -> bool,
    add_to_linker: fn(&mut Linker<State>) -> wasmtime::Result<()>,
}

/// Every package there is.
const PACKAGES: &[Package] = &[
    Package {
        provides: crate::logging::provides,
        add_to_linker: crate::logging::add_to_linker,
    },
    Package {
        provides: crate::plane::link::provides,
        add_to_linker: crate::plane::link::add_to_linker,
    },
    Package {
        provides: crate::security::provides,
        add_to_linker: crate::security::add_to_linker,
    },
    Package {
        provides: crate::storage::guest::provides,
        add_to_linker: crate::storage::guest::add_to_linker,
    },
];

/// Whether a host service is the interface that a component imports by this name.
#[must_use]
pub fn provides(import: &str) -> bool {
    PACKAGES.iter().any(|package| (package.provides)(import))
}

/// Link the packages of which `imports` names an interface.
///
/// # Errors
/// When an interface is already defined in `linker`.
pub(crate) fn add_to_linker(
    linker: &mut Linker<State>,
    imports: &[String],
) -> wasmtime::Result<()> {
    for package in PACKAGES {
        if imports.iter().any(|import| (package.provides)(import)) {
            (package.add_to_linker)(linker)?;
        }
    }
    Ok(())
}

/// Whether `import` is one of `interfaces`, in a version that is compatible with 1.0.0.
#[must_use]
pub fn names(import: &str, interfaces: &[&str]) -> bool {
    import.split_once('@').is_some_and(|(interface, version)| {
        version.starts_with("1.") && interfaces.contains(&interface)
    })
}

/// Whose instance it is.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Empty for an instance that belongs to no deployment.
    pub deployment: Arc<str>,
    /// Empty unless it is a keyed actor.
    pub key: Arc<str>,
    /// Counts the instances of an actor; 0 for what is no actor.
    pub incarnation: u64,
}

/// Gives each new instance its part of a host service.
pub trait Service: Send + Sync + 'static {
    /// Put what the instance needs into `services`. Called before any of its code runs.
    ///
    /// # Errors
    /// The instance is not made.
    fn attach(&self, identity: &Identity, services: &mut Services) -> Result<(), Error>;
}

/// What one instance has of host services, by type.
#[derive(Default)]
pub struct Services {
    attached: Vec<(TypeId, Box<dyn Any + Send>)>,
}

impl Services {
    /// Attach a value; one of the same type is replaced.
    pub fn insert<T: Send + 'static>(&mut self, value: T) {
        let id = TypeId::of::<T>();
        self.attached.retain(|(other, _)| *other != id);
        self.attached.push((id, Box::new(value)));
    }

    #[must_use]
    pub fn get<T: 'static>(&self) -> Option<&T> {
        let id = TypeId::of::<T>();
        let found = self.attached.iter().find(|(other, _)| *other == id);
        found.and_then(|(_, value)| value.downcast_ref())
    }

    pub fn get_mut<T: 'static>(&mut self) -> Option<&mut T> {
        let id = TypeId::of::<T>();
        let found = self.attached.iter_mut().find(|(other, _)| *other == id);
        found.and_then(|(_, value)| value.downcast_mut())
    }

    /// What is attached, or the default, which says in its answers that nothing is.
    pub fn get_or_default<T: Send + Default + 'static>(&mut self) -> &mut T {
        if self.get::<T>().is_none() {
            self.insert(T::default());
        }
        self.get_mut().expect("inserted above")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_of_each_type_is_attached() {
        let mut services = Services::default();
        services.insert(1_u32);
        services.insert("text");
        services.insert(2_u32);
        assert_eq!(services.get::<u32>(), Some(&2));
        assert_eq!(services.get_mut::<&str>(), Some(&mut "text"));
        assert_eq!(services.get::<u8>(), None);
        assert_eq!(*services.get_or_default::<u8>(), 0);
    }

    #[test]
    fn names_are_compared_without_the_patch_version() {
        let interfaces = &["airssys:core/host"];
        assert!(names("airssys:core/host@1.0.0", interfaces));
        assert!(names("airssys:core/host@1.2.0", interfaces));
        assert!(!names("airssys:core/host@2.0.0", interfaces));
        assert!(!names("airssys:core/host", interfaces));
        assert!(!names("airssys:core/hosts@1.0.0", interfaces));
    }
}
