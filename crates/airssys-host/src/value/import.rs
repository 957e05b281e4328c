//! Host functions that guests import.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use wasmtime::component::{Accessor, LinkerInstance, ResourceAny, Val};
use wasmtime::{AsContextMut, Result, StoreContextMut, bail};

use super::callable::{needs_val, with_flat_count};
use super::lift::Lifted;
use super::lower::Lowered;
use super::{FuncType, Path, Type, Value, fallback};

/// What a host function returns.
pub type HostFuture<'a> = Pin<Box<dyn Future<Output = Result<Option<Value>>> + Send + 'a>>;

/// At most one value, as a slice.
struct Returned(Option<Value>);

impl AsRef<[Value]> for Returned {
    fn as_ref(&self) -> &[Value] {
        self.0.as_slice()
    }
}

/// Defines a host function for an import that is not an `async func`; the guest waits while the
/// future is pending, the thread does not.
///
/// Handles that the guest lends for the call (`borrow` of its own resources) are returned to it when
/// the future completes.
///
/// # Errors
/// When `name` is defined already.
pub fn define_import<T, F>(
    path: Path,
    instance: &mut LinkerInstance<'_, T>,
    name: &str,
    ty: &Arc<FuncType>,
    f: F,
) -> Result<()>
where
    T: Send + 'static,
    F: Fn(StoreContextMut<'_, T>, Vec<Value>) -> HostFuture<'_> + Send + Sync + 'static,
{
    let lends = ty.any(&|ty| matches!(ty, Type::Borrow(_)));
    let f = Arc::new(f);
    if path == Path::Val || needs_val(ty) {
        let ty = ty.clone();
        return instance.func_new_async(name, move |mut store, _, params, results| {
            let (f, ty) = (f.clone(), ty.clone());
            Box::new(async move {
                let args = args_from_val(params, &ty, &mut store)?;
                let lent = lent(&args, lends);
                let value = f(store.as_context_mut(), args).await?;
                give_back(lent, &mut store).await?;
                result_to_val(value, &ty, &mut store, results)
            })
        });
    }
    macro_rules! define {
        ($results:literal) => {
            with_flat_count!(ty.flat_params(), N => {
                instance.func_wrap_async(
                    name,
                    move |mut store: StoreContextMut<'_, T>, params: Lifted<Vec<Value>, N>| {
                        let f = f.clone();
                        Box::new(async move {
                            let lent = lent(&params.0, lends);
                            let value = f(store.as_context_mut(), params.0).await?;
                            give_back(lent, &mut store).await?;
                            Ok(Lowered::<_, $results>(Returned(value)))
                        })
                    },
                )
            })
        };
    }
    if ty.flat_result() == 1 {
        define!(1)
    } else {
        define!(0)
    }
}

/// Defines a host function for an import that is an `async func`; the guest may go on meanwhile.
/// Only engines with concurrency support have such imports. Handles that the guest lends are returned as
/// [`define_import`] returns them.
///
/// # Errors
/// When `name` is defined already.
pub fn define_async_import<T, F>(
    path: Path,
    instance: &mut LinkerInstance<'_, T>,
    name: &str,
    ty: &Arc<FuncType>,
    f: F,
) -> Result<()>
where
    T: Send + 'static,
    F: Fn(&Accessor<T>, Vec<Value>) -> HostFuture<'_> + Send + Sync + 'static,
{
    let lends = ty.any(&|ty| matches!(ty, Type::Borrow(_)));
    let f = Arc::new(f);
    if path == Path::Val || needs_val(ty) {
        let ty = ty.clone();
        return instance.func_new_concurrent(name, move |accessor, _, params, results| {
            let (f, ty) = (f.clone(), ty.clone());
            Box::pin(async move {
                let args = accessor.with(|mut store| args_from_val(params, &ty, &mut store))?;
                let lent = lent(&args, lends);
                let value = f(accessor, args).await?;
                accessor.with(|mut store| {
                    give_back_at_once(lent, &mut store.as_context_mut())?;
                    result_to_val(value, &ty, &mut store, results)
                })
            })
        });
    }
    macro_rules! define {
        ($results:literal) => {
            with_flat_count!(ty.flat_params(), N => {
                instance.func_wrap_concurrent(
                    name,
                    move |accessor: &Accessor<T>, params: Lifted<Vec<Value>, N>| {
                        let f = f.clone();
                        Box::pin(async move {
                            let lent = lent(&params.0, lends);
                            let value = f(accessor, params.0).await?;
                            accessor.with(|mut store| {
                                give_back_at_once(lent, &mut store.as_context_mut())
                            })?;
                            Ok(Lowered::<_, $results>(Returned(value)))
                        })
                    },
                )
            })
        };
    }
    if ty.flat_result() == 1 {
        define!(1)
    } else {
        define!(0)
    }
}

fn args_from_val(
    params: &[Val],
    ty: &FuncType,
    store: &mut impl AsContextMut,
) -> Result<Vec<Value>> {
    params
        .iter()
        .zip(&ty.params)
        .map(|(val, param)| fallback::from_val(val.clone(), &param.ty, store))
        .collect()
}

fn result_to_val(
    value: Option<Value>,
    ty: &FuncType,
    store: &mut impl AsContextMut,
    results: &mut [Val],
) -> Result<()> {
    match (value, &ty.result, results) {
        (Some(value), Some(ty), [result]) => *result = fallback::to_val(value, ty, store)?,
        (None, None, []) => {}
        (value, _, results) => {
            bail!(
                "expected {} values, got {}",
                results.len(),
                usize::from(value.is_some())
            );
        }
    }
    Ok(())
}

/// The handles in `values` that must be given back when the call ends.
fn lent(values: &[Value], any: bool) -> Vec<ResourceAny> {
    fn collect(value: &Value, found: &mut Vec<ResourceAny>) {
        match value {
            Value::Resource(handle) if !handle.owned() => found.push(**handle),
            Value::List(values) | Value::Record(values) => {
                values.iter().for_each(|value| collect(value, found));
            }
            Value::Map(entries) => entries.iter().for_each(|(key, value)| {
                collect(key, found);
                collect(value, found);
            }),
            Value::Variant(_, Some(value))
            | Value::Option(Some(value))
            | Value::Result(Ok(Some(value)) | Err(Some(value))) => collect(value, found),
            _ => {}
        }
    }
    let mut found = Vec::new();
    if any {
        values.iter().for_each(|value| collect(value, &mut found));
    }
    found
}

async fn give_back<T: Send + 'static>(
    lent: Vec<ResourceAny>,
    store: &mut StoreContextMut<'_, T>,
) -> Result<()> {
    for handle in lent {
        handle.resource_drop_async(&mut *store).await?;
    }
    Ok(())
}

/// As [`give_back`], where nothing can be awaited: giving back runs no guest code, so it never waits.
fn give_back_at_once<T: Send + 'static>(
    lent: Vec<ResourceAny>,
    store: &mut StoreContextMut<'_, T>,
) -> Result<()> {
    if lent.is_empty() {
        return Ok(());
    }
    let mut giving = pin!(give_back(lent, store));
    match giving
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(result) => result,
        Poll::Pending => bail!("a handle that was lent could not be given back at once"),
    }
}
