//! Items of streams and values of futures, whose types are known at run time only.
//!
//! Wasmtime moves items by the Rust type of an item, from whose constants it computes where each lies in the
//! guest's memory. An [`Item`] states no size and takes the real one from the component's type: writing gets a whole
//! list at its address, and reading is told by [`Reading`] which item of a list comes next.

use std::cell::Cell;
use std::mem::MaybeUninit;

use wasmtime::component::__internal::{
    CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext, LowerContext,
};
use wasmtime::component::{ComponentType, Lift, Lower};
use wasmtime::{Result, ValRaw, bail};

use super::Value;
use super::lift::{aligned, from_memory, range};
use super::lower::to_memory;

/// One item.
pub struct Item(pub Value);

thread_local!(static NEXT: Cell<usize> = const { Cell::new(0) });

/// The items that are lifted on this thread while it lives are those of one write of the guest, one after the other.
pub struct Reading;

impl Reading {
    /// The next item to be lifted is the one at `position`.
    #[must_use]
    pub fn from(position: usize) -> Self {
        NEXT.set(position);
        Self
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        NEXT.set(0);
    }
}

// SAFETY: an item is never lowered flat, so that `Lower` says nothing; it is only ever a stream's or a future's
// payload. Its size and alignment are stated as nothing: wasmtime's checks by them pass, and the checks by the real
// ones are in `linear_store_list_to_memory` and `linear_lift_from_memory`. Any type is accepted because values are
// checked against the component's type one by one.
unsafe impl ComponentType for Item {
    type Lower = [ValRaw; 0];
    const ABI: CanonicalAbiInfo = CanonicalAbiInfo::ZERO;

    fn typecheck(_ty: &InterfaceType, _types: &InstanceType<'_>) -> Result<()> {
        Ok(())
    }
}

// SAFETY: every write is checked for bounds, and the value against the component's type.
unsafe impl Lower for Item {
    fn linear_lower_to_flat<T>(
        &self,
        _cx: &mut LowerContext<'_, T>,
        _ty: InterfaceType,
        _dst: &mut MaybeUninit<Self::Lower>,
    ) -> Result<()> {
        bail!("an item of a stream is never passed as a parameter")
    }

    fn linear_lower_to_memory<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        offset: usize,
    ) -> Result<()> {
        aligned(offset, cx.types.canonical_abi(&ty).align32)?;
        to_memory(cx, ty, &self.0, offset)
    }

    fn linear_store_list_to_memory<T>(
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        mut offset: usize,
        items: &[Self],
    ) -> Result<()> {
        let size = cx.types.canonical_abi(&ty).size32 as usize;
        for item in items {
            item.linear_lower_to_memory(cx, ty, offset)?;
            offset += size;
        }
        Ok(())
    }
}

// SAFETY: memory is read only where it was checked for bounds and alignment by the component's type.
unsafe impl Lift for Item {
    fn linear_lift_from_flat(
        _cx: &mut LiftContext<'_>,
        _ty: InterfaceType,
        _src: &Self::Lower,
    ) -> Result<Self> {
        bail!("an item of a stream is never passed as a result")
    }

    fn linear_lift_from_memory(
        cx: &mut LiftContext<'_>,
        ty: InterfaceType,
        bytes: &[u8],
    ) -> Result<Self> {
        let types = cx.types;
        let abi = types.canonical_abi(&ty);
        let size = abi.size32 as usize;
        let position = NEXT.replace(NEXT.get() + 1);
        // The slice is empty and stands at the first item of the list.
        let list = (bytes.as_ptr() as usize).wrapping_sub(cx.memory().as_ptr() as usize);
        let Some(offset) = position
            .checked_mul(size)
            .and_then(|distance| list.checked_add(distance))
        else {
            bail!("an item of a stream would lie outside of the guest's memory");
        };
        aligned(offset, abi.align32)?;
        let bytes = range(cx, offset, size)?;
        from_memory(cx, ty, bytes).map(Self)
    }
}
