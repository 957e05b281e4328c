//! A compiled component and what it looks like from outside.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::sync::{Arc, OnceLock};

use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{ComponentExportIndex, InstancePre, Linker, ResourceType};
use wasmtime::{AsContextMut, Module};

pub use crate::engine::loading::{Loading, Phase};
use crate::engine::static_limits::Contents;
use crate::engine::{Native, import_name, loading};
use crate::error::Error;
use crate::instance::State;
use crate::instance::{HandlerIndices, Link, attach_all, find_handler};
use crate::services;
use crate::value::{FuncType, Path, Type, TypeNames, Value, define_async_import, define_import};
use crate::wasi::link;

/// A function that a component exports or imports.
#[derive(Clone, Debug)]
pub struct Function {
    /// `None` for a function of the world itself.
    pub interface: Option<Arc<str>>,
    pub name: Arc<str>,
    pub ty: Arc<FuncType>,
}

impl Function {
    /// `add`, or `demo:calc/ops#add`.
    #[must_use]
    pub fn path(&self) -> String {
        self.interface.as_ref().map_or_else(
            || self.name.to_string(),
            |interface| format!("{interface}#{}", self.name),
        )
    }
}

/// A resource type that a component imports: something of the host's that guests hold handles to.
#[derive(Clone, Debug)]
pub struct ImportedResource {
    pub interface: Option<Arc<str>>,
    pub name: Arc<str>,
    pub ty: ResourceType,
}

/// A compiled component; cheap to share.
pub struct Component {
    pub native: &'static Native,
    pub contents: Contents,
    pub size: usize,
    /// Whether the code came from the cache.
    pub from_cache: bool,
    pub exports: Vec<Function>,
    pub(crate) export_indices: Vec<ComponentExportIndex>,
    by_path: BTreeMap<String, usize>,
    /// Every interface and function that the component imports, by name.
    pub import_names: Vec<String>,
    /// Functions that the host's user must provide.
    pub imports: Vec<Function>,
    /// Resources that the host's user must provide.
    pub resources: Vec<ImportedResource>,
    pub(crate) compiled: wasmtime::component::Component,
    /// What the compiled code imports beside what the component does.
    libraries: Vec<Arc<Module>>,
    prepared: OnceLock<Result<InstancePre<State>, String>>,
    handler: OnceLock<HandlerIndices>,
    names: TypeNames,
}

impl std::fmt::Debug for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Component")
            .field("digest", &self.contents.digest)
            .finish_non_exhaustive()
    }
}

/// Turn the text format into binary; binary passes through.
///
/// # Errors
/// [`Error::Invalid`] with the position of a mistake in text.
pub fn to_binary<'a>(
    bytes: &'a [u8],
    file: Option<&FilePath>,
) -> Result<std::borrow::Cow<'a, [u8]>, Error> {
    let looks_like_text = bytes
        .iter()
        .find(|byte| !byte.is_ascii_whitespace())
        .is_some_and(|byte| matches!(byte, b'(' | b';'));
    if !looks_like_text {
        return Ok(bytes.into());
    }
    wat::Parser::new()
        .parse_bytes(file, bytes)
        .map_err(|error| Error::Invalid(error.to_string()))
}

impl Component {
    /// Check, compile or find, and describe a component.
    ///
    /// # Errors
    /// As [`static_limits::check`], [`compile::compile`] and [`Native::get`].
    pub fn load(bytes: &[u8], loading: Loading<'_>) -> Result<Self, Error> {
        let size = bytes.len();
        Self::describe(loading::code(bytes, loading)?, size)
    }

    fn describe(code: loading::Code, size: usize) -> Result<Self, Error> {
        let loading::Code {
            native,
            compiled,
            libraries,
            contents,
            from_cache,
        } = code;
        let engine = &native.engine;
        let names = TypeNames::of(&compiled, engine);
        let ty = compiled.component_type();
        let mut component = Self {
            native,
            contents,
            size,
            from_cache,
            exports: Vec::new(),
            export_indices: Vec::new(),
            by_path: BTreeMap::new(),
            import_names: Vec::new(),
            imports: Vec::new(),
            resources: Vec::new(),
            compiled,
            libraries,
            prepared: OnceLock::new(),
            handler: OnceLock::new(),
            names,
        };
        let own = (0..component.libraries.len()).map(import_name);
        let own: Vec<String> = own.collect();
        for (name, item) in ty.imports(engine) {
            if own.iter().any(|own| own == name) {
                continue;
            }
            component.import_names.push(name.to_owned());
            if link::provides(name, native.profile) || services::provides(name) {
                continue;
            }
            match item.ty {
                ComponentItem::ComponentFunc(func) => component.add_import(None, name, &func),
                ComponentItem::Resource(ty) => component.add_resource(None, name, ty),
                ComponentItem::ComponentInstance(instance) => {
                    let interface: Arc<str> = name.into();
                    for (name, item) in instance.exports(engine) {
                        match item.ty {
                            ComponentItem::ComponentFunc(func) => {
                                component.add_import(Some(&interface), name, &func)
                            }
                            ComponentItem::Resource(ty) => {
                                component.add_resource(Some(&interface), name, ty)
                            }
                            _ => {}
                        }
                    }
                }
                ComponentItem::Component(_)
                | ComponentItem::CoreFunc(_)
                | ComponentItem::Module(_) => {
                    return Err(Error::Link(format!(
                        "the import {name} is a module, which no host can provide here"
                    )));
                }
                ComponentItem::Type(_) => {}
            }
        }
        for (name, item) in ty.exports(engine) {
            match item.ty {
                ComponentItem::ComponentFunc(func) => {
                    component.add_export(None, None, name, &func)?
                }
                ComponentItem::ComponentInstance(instance) => {
                    let interface: Arc<str> = name.into();
                    let index = component.compiled.get_export_index(None, name);
                    for (name, item) in instance.exports(engine) {
                        if let ComponentItem::ComponentFunc(func) = item.ty {
                            component.add_export(index.as_ref(), Some(&interface), name, &func)?;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(component)
    }

    fn add_import(&mut self, interface: Option<&Arc<str>>, name: &str, func: &ComponentFunc) {
        let ty = Arc::new(FuncType::named(
            func,
            &self.names,
            interface.map(|interface| &**interface),
        ));
        self.imports.push(Function {
            interface: interface.cloned(),
            name: name.into(),
            ty,
        });
    }

    fn add_resource(&mut self, interface: Option<&Arc<str>>, name: &str, ty: ResourceType) {
        self.resources.push(ImportedResource {
            interface: interface.cloned(),
            name: name.into(),
            ty,
        });
    }

    fn add_export(
        &mut self,
        parent: Option<&ComponentExportIndex>,
        interface: Option<&Arc<str>>,
        name: &str,
        func: &ComponentFunc,
    ) -> Result<(), Error> {
        let index = self
            .compiled
            .get_export_index(parent, name)
            .ok_or_else(|| {
                Error::Internal(format!("the export {name} is listed but has no index"))
            })?;
        let ty = Arc::new(FuncType::named(
            func,
            &self.names,
            interface.map(|interface| &**interface),
        ));
        let function = Function {
            interface: interface.cloned(),
            name: name.into(),
            ty,
        };
        self.by_path.insert(function.path(), self.exports.len());
        self.exports.push(function);
        self.export_indices.push(index);
        Ok(())
    }

    /// The position of an export: `add`, or `demo:calc/ops#add` (the version may be left out).
    ///
    /// # Errors
    /// [`Error::UnknownExport`].
    pub fn export(&self, path: &str) -> Result<usize, Error> {
        if let Some(index) = self.by_path.get(path) {
            return Ok(*index);
        }
        let without_version = |function: &Function| {
            function
                .interface
                .as_ref()
                .and_then(|interface| interface.split_once('@'))
                .map(|(bare, _)| format!("{bare}#{}", function.name))
        };
        self.exports
            .iter()
            .position(|function| without_version(function).is_some_and(|bare| bare == path))
            .ok_or_else(|| Error::UnknownExport {
                name: path.to_owned(),
            })
    }

    /// What is in the signature of an export that is worth something as long as its instance is there: a resource
    /// that is not the embedder's own, a stream or a future.
    #[must_use]
    pub fn bound_to_instance(&self, export: usize) -> Option<String> {
        let found = RefCell::new(None);
        self.exports[export].ty.any(&|ty| {
            if matches!(ty, Type::Stream(_) | Type::Future(_)) {
                found.replace(Some(format!("a {ty}")));
                return true;
            }
            let (Type::Own(resource) | Type::Borrow(resource)) = ty else {
                return false;
            };
            let bound = self.resources.iter().all(|own| own.ty != resource.ty);
            if bound {
                let name = resource.name.as_ref().map_or("resource", |name| &name.name);
                found.replace(Some(format!("its guest's resource '{name}'")));
            }
            bound
        });
        found.into_inner()
    }

    /// Whether [`Component::link`] has been done.
    #[must_use]
    pub fn is_linked(&self) -> bool {
        self.prepared.get().is_some()
    }

    /// Do what every instance needs once, which takes a millisecond: a call that finds it undone does it.
    ///
    /// # Errors
    /// [`Error::Link`] when the imports and what is provided do not fit together.
    pub fn link(&self) -> Result<(), Error> {
        self.prepared().map(drop)
    }

    /// Whether the component answers HTTP requests: it exports `wasi:http/incoming-handler` of WASI 0.2, or
    /// `wasi:http/handler` of 0.3.
    #[must_use]
    pub fn handles_http(&self) -> bool {
        self.exports_from("wasi:http/incoming-handler@0.2.") || self.handles_http_of_p3()
    }

    /// Whether it does so as WASI 0.3 has it.
    #[must_use]
    pub fn handles_http_of_p3(&self) -> bool {
        self.exports_from("wasi:http/handler@0.3.")
    }

    fn exports_from(&self, interface: &str) -> bool {
        self.exports.iter().any(|function| {
            let own = function.interface.as_deref().unwrap_or_default();
            own.starts_with(interface)
        })
    }

    /// Where its HTTP handler is.
    pub(crate) fn handler(&self) -> Result<&HandlerIndices, Error> {
        if let Some(handler) = self.handler.get() {
            return Ok(handler);
        }
        let found = find_handler(self)?;
        Ok(self.handler.get_or_init(|| found))
    }

    /// Linked once, instantiated often. What guests import beyond WASI goes out through the store's link.
    pub(crate) fn prepared(&self) -> Result<&InstancePre<State>, Error> {
        self.prepared
            .get_or_init(|| self.prepare().map_err(|error| format!("{error:#}")))
            .as_ref()
            .map_err(|message| Error::Link(message.clone()))
    }

    fn prepare(&self) -> wasmtime::Result<InstancePre<State>> {
        let mut linker = Linker::<State>::new(&self.native.engine);
        for (position, library) in self.libraries.iter().enumerate() {
            linker.root().module(&import_name(position), library)?;
        }
        link::add_to_linker(&mut linker, self.native.profile)?;
        crate::plane::wasi_clocks::replace_in(&mut linker)?;
        services::add_to_linker(&mut linker, &self.import_names)?;
        for (position, resource) in self.resources.iter().enumerate() {
            let mut root = linker.root();
            let mut instance = match &resource.interface {
                Some(interface) => root.instance(interface)?,
                None => root,
            };
            // One resource type may be imported under several names.
            let position = self
                .resources
                .iter()
                .position(|first| first.ty == resource.ty)
                .unwrap_or(position);
            let ty = host_resource(position);
            instance.resource(&resource.name, ty, move |store, representation| {
                store.data().link.note_dropped(position, representation);
                Ok(())
            })?;
        }
        for (position, function) in self.imports.iter().enumerate() {
            let mut root = linker.root();
            let mut instance = match &function.interface {
                Some(interface) => root.instance(interface)?,
                None => root,
            };
            let (streams, ty) = (function.ty.takes_streams(), function.ty.clone());
            if function.ty.is_async() {
                define_async_import(
                    Path::Direct,
                    &mut instance,
                    &function.name,
                    &function.ty,
                    move |accessor, mut arguments| {
                        let call: wasmtime::Result<_> = accessor.with(|mut access| {
                            let link = access.get().link.clone();
                            if streams {
                                attach_arguments(&mut arguments, &ty, &mut access, &link)?;
                            }
                            Ok(link.call(position, arguments))
                        });
                        Box::pin(async move { Ok(call?.await?) })
                    },
                )?;
            } else {
                define_import(
                    Path::Direct,
                    &mut instance,
                    &function.name,
                    &function.ty,
                    move |mut store, mut arguments| {
                        let link = store.data().link.clone();
                        let attached = if streams {
                            attach_arguments(&mut arguments, &ty, &mut store, &link)
                        } else {
                            Ok(())
                        };
                        let call = attached.map(|()| link.call(position, arguments));
                        Box::pin(async move { Ok(call?.await?) })
                    },
                )?;
            }
        }
        linker.instantiate_pre(&self.compiled)
    }
}

/// Streams and futures that a guest gives to a host function can be read while the guest goes on.
fn attach_arguments(
    arguments: &mut [Value],
    ty: &FuncType,
    store: &mut impl AsContextMut,
    link: &Arc<Link>,
) -> wasmtime::Result<()> {
    arguments
        .iter_mut()
        .zip(&ty.params)
        .try_for_each(|(value, param)| attach_all(value, &param.ty, store, link))
}

/// The type of the resources at `position` of [`Component::resources`].
#[must_use]
pub fn host_resource(position: usize) -> ResourceType {
    ResourceType::host_dynamic(u32::try_from(position).expect("static limits bound the imports"))
}
