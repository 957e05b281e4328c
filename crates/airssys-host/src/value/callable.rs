//! Calls into a guest.

use std::pin::Pin;
use std::sync::Arc;

use wasmtime::component::{Func, TypedFunc, Val};
use wasmtime::{AsContext, AsContextMut, Result, bail};

use super::lift::Lifted;
use super::lower::{Lowered, MAX_FLAT_PARAMS};
use super::{FuncType, Type, Value, fallback};

/// How values cross.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Path {
    /// Directly between [`Value`] and the guest's memory; `error-context` alone goes through `Val`.
    #[default]
    Direct,
    /// Through `wasmtime::component::Val`: slower and larger, the reference for the direct path.
    Val,
}

/// An exported function of one instance, ready to be called.
#[derive(Clone)]
pub struct Callable {
    func: Func,
    ty: Arc<FuncType>,
    path: Path,
}

type Params<'a> = Lowered<&'a [Value], MAX_FLAT_PARAMS>;
type Returned<const N: usize> = Lifted<Option<Value>, N>;

macro_rules! with_flat_count {
    ($count:expr, $n:ident => $body:expr) => {
        with_flat_count!($count, $n => $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
    };
    ($count:expr, $n:ident => $body:expr, $($case:literal)*) => {
        match $count {
            $($case => { const $n: usize = $case; $body })*
            _ => { const $n: usize = $crate::value::lift::IN_MEMORY; $body }
        }
    };
}
pub(super) use with_flat_count;

impl Callable {
    /// Prepares calls of `func`, whose type is `ty`.
    ///
    /// # Errors
    /// When `ty` is not the type of `func`.
    pub fn new(func: Func, store: impl AsContext, ty: Arc<FuncType>) -> Result<Self> {
        Self::by(Path::Direct, func, store, ty)
    }

    /// As [`Callable::new`], with values crossing by `path`.
    ///
    /// # Errors
    /// When `ty` is not the type of `func`.
    pub fn by(path: Path, func: Func, store: impl AsContext, ty: Arc<FuncType>) -> Result<Self> {
        let path = if needs_val(&ty) { Path::Val } else { path };
        with_flat_count!(ty.flat_result(), N => func.typed::<Params, Returned<N>>(&store).map(|_| ()))?;
        Ok(Self { func, ty, path })
    }

    /// The signature.
    #[must_use]
    pub fn ty(&self) -> &Arc<FuncType> {
        &self.ty
    }

    /// Calls the function; `None` when it has no result.
    ///
    /// Dropping the future poisons the instance: replace the store. The arguments live in the
    /// future, so they are dropped where it is, never on the guest's stack.
    ///
    /// # Errors
    /// When the guest traps or breaks the canonical ABI, or an argument does not have its type.
    pub async fn call<T: Send + 'static>(
        &self,
        mut store: impl AsContextMut<Data = T>,
        args: Vec<Value>,
    ) -> Result<Option<Value>> {
        let mut store = store.as_context_mut();
        if self.path == Path::Val {
            return self.call_val(store, args).await;
        }
        match self.ty.flat_result() {
            0 => self.call_direct::<T, 0>(store, &args).await,
            1 => self.call_direct::<T, 1>(store, &args).await,
            // Larger results are boxed, so that every call's future stays as small as these two.
            count => {
                let call: Pin<Box<dyn Future<Output = _> + Send>> = with_flat_count!(count, N => Box::pin(self.call_direct::<T, N>(store.as_context_mut(), &args)));
                call.await
            }
        }
    }

    async fn call_direct<T: Send + 'static, const N: usize>(
        &self,
        store: impl AsContextMut<Data = T>,
        args: &[Value],
    ) -> Result<Option<Value>> {
        // SAFETY: `by` checked this function against the same types; `Params` accepts every
        // parameter list and checks the values when it lowers them, and `flat_result` is what `by`
        // chose `N` by.
        let func = unsafe { TypedFunc::<Params<'_>, Returned<N>>::new_unchecked(self.func) };
        Ok(func.call_async(store, Lowered(args)).await?.0)
    }

    async fn call_val<T: Send + 'static>(
        &self,
        mut store: impl AsContextMut<Data = T>,
        args: Vec<Value>,
    ) -> Result<Option<Value>> {
        if args.len() != self.ty.params.len() {
            bail!(
                "expected {} values, got {}",
                self.ty.params.len(),
                args.len()
            );
        }
        let params = args
            .into_iter()
            .zip(&self.ty.params)
            .map(|(value, param)| fallback::to_val(value, &param.ty, &mut store))
            .collect::<Result<Vec<_>>>()?;
        let mut results = vec![Val::Bool(false); usize::from(self.ty.result.is_some())];
        self.func
            .call_async(&mut store, &params, &mut results)
            .await?;
        match (results.pop(), &self.ty.result) {
            (Some(val), Some(ty)) => fallback::from_val(val, ty, &mut store).map(Some),
            _ => Ok(None),
        }
    }
}

/// `error-context` has no public type but its case of `Val`.
pub(super) fn needs_val(ty: &FuncType) -> bool {
    ty.any(&|ty| matches!(ty, Type::ErrorContext))
}
