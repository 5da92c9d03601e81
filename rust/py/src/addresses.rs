//! Tables by the address of an object that is held as long as the table.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// What belongs to an object, by its address.
pub(crate) type ByAddress<T> = HashMap<usize, T, BuildHasherDefault<AddressHasher>>;

/// Addresses come from an allocator and not from whoever would want them to collide: one multiplication is enough.
#[derive(Default)]
pub(crate) struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_usize(usize::from(byte));
        }
    }

    #[inline]
    fn write_usize(&mut self, address: usize) {
        // The table looks at the lowest and at the highest bits; the highest of a product depend on all of the address.
        let product = (self.0 ^ address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product.rotate_left(26);
    }
}
