//! The names that a component gives its types.
//!
//! The engine's types are structural: a function's type says `record { x: f32, y: f32 }`, not
//! `point`. Every named type is an export of the interface that declares or uses it, so the name is
//! found by structure there. Two types of one interface with the same structure share the name that
//! is declared first; their values are interchangeable.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::types::{ComponentExtern, ComponentItem};
use wasmtime::component::{Component, ResourceType};

use super::types::Type;

/// The name of a type and the interface that declares it (`None`: the world itself).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TypeName {
    pub interface: Option<Arc<str>>,
    pub name: Arc<str>,
}

impl fmt::Display for TypeName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.interface {
            Some(interface) => write!(formatter, "{interface}.{}", self.name),
            None => formatter.write_str(&self.name),
        }
    }
}

type Interface = Option<Arc<str>>;

/// The names of all types of one component.
#[derive(Debug, Default)]
pub struct TypeNames {
    /// The name of a shape as an interface sees it.
    local: HashMap<Interface, HashMap<String, Arc<str>>>,
    /// The interfaces in which a shape goes by a name, the declaring one first.
    declared: HashMap<String, Vec<TypeName>>,
    resources: Vec<(ResourceType, TypeName)>,
}

impl TypeNames {
    /// Collects the names from the imports and exports of `component`.
    #[must_use]
    pub fn of(component: &Component, engine: &Engine) -> Self {
        let mut names = Self::default();
        let ty = component.component_type();
        // Imports come first: what an export uses from an imported interface is declared there.
        for (name, item) in ty.imports(engine) {
            names.add(None, name, &item, engine);
        }
        for (name, item) in ty.exports(engine) {
            names.add(None, name, &item, engine);
        }
        names
    }

    fn add(
        &mut self,
        interface: Interface,
        name: &str,
        item: &ComponentExtern<'_>,
        engine: &Engine,
    ) {
        match &item.ty {
            ComponentItem::ComponentInstance(instance) if interface.is_none() => {
                let interface: Interface = Some(name.into());
                for (name, item) in instance.exports(engine) {
                    self.add(interface.clone(), name, &item, engine);
                }
            }
            ComponentItem::Type(ty) => {
                let mut shape = String::new();
                Type::anonymous(ty)
                    .write_shape(&mut shape)
                    .expect("writing to a string succeeds");
                let name: Arc<str> = name.into();
                let declared = self.declared.entry(shape.clone()).or_default();
                declared.push(TypeName {
                    interface: interface.clone(),
                    name: name.clone(),
                });
                self.local
                    .entry(interface)
                    .or_default()
                    .entry(shape)
                    .or_insert(name);
            }
            ComponentItem::Resource(ty) => {
                self.resources.push((
                    *ty,
                    TypeName {
                        interface,
                        name: name.into(),
                    },
                ));
            }
            _ => {}
        }
    }

    /// The name of `ty` for a function of `interface`.
    pub(super) fn find(&self, ty: &Type, interface: Option<&str>) -> Option<TypeName> {
        if self.declared.is_empty() {
            return None;
        }
        let mut shape = String::new();
        ty.write_shape(&mut shape)
            .expect("writing to a string succeeds");
        let declared = self.declared.get(&shape)?;
        let local = self
            .local
            .get(&interface.map(Arc::from))
            .and_then(|names| names.get(&shape));
        local
            .and_then(|local| declared.iter().find(|name| name.name == *local))
            .or_else(|| declared.first())
            .cloned()
    }

    pub(super) fn resource(&self, ty: ResourceType) -> Option<TypeName> {
        self.resources
            .iter()
            .find(|(known, _)| *known == ty)
            .map(|(_, name)| name.clone())
    }
}
