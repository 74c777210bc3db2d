//! Temporary: nothing is logged any more.
use crate::sync::atomic::{Ordering, fence};
pub(crate) fn is_asymmetric() -> bool {
    crate::sync::TINY
}
#[inline(always)]
pub(crate) fn light() {
    fence(Ordering::SeqCst);
}
pub(crate) fn heavy() {
    fence(Ordering::SeqCst);
}
