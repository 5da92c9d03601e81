//! A map that mostly has one entry, and may have very many.

use std::collections::BTreeMap;

/// An ordered map whose first entry has a place of its own: a tree allocates room for eleven at once, which a run that
/// waits for one handler, as most do, would carry along for nothing.
#[derive(Clone, Debug)]
pub struct Few<K, V> {
    /// Of the least key.
    first: Option<(K, V)>,
    /// Empty if there is no first one.
    rest: BTreeMap<K, V>,
}

// Not derived, because that would ask for `K: Default` and `V: Default`.
impl<K, V> Default for Few<K, V> {
    fn default() -> Self {
        Self { first: None, rest: BTreeMap::new() }
    }
}

impl<K: Ord, V> Few<K, V> {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Put something in. Logarithmic.
    ///
    /// # Returns
    /// What the key had before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let Some((least, _)) = &self.first else {
            self.first = Some((key, value));
            return None;
        };
        if key > *least {
            return self.rest.insert(key, value);
        }
        let (least, before) = self.first.replace((key, value))?;
        if self.first.as_ref().is_some_and(|(key, _)| *key == least) {
            return Some(before);
        }
        self.rest.insert(least, before)
    }

    /// Take something out. Logarithmic.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        if self.first.as_ref().is_some_and(|(least, _)| least == key) {
            let next = self.rest.pop_first();
            return std::mem::replace(&mut self.first, next).map(|(_, value)| value);
        }
        self.rest.remove(key)
    }

    /// The values, in order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.first.iter().map(|(_, value)| value).chain(self.rest.values())
    }

    /// The values, in order of their keys; nothing is left in it.
    pub fn drain(&mut self) -> impl Iterator<Item = V> + use<K, V> {
        self.first.take().map(|(_, value)| value).into_iter().chain(std::mem::take(&mut self.rest).into_values())
    }
}

#[cfg(test)]
mod tests {
    use super::Few;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_is_the_map_that_it_stands_for(steps in proptest::collection::vec((any::<bool>(), 0u8..6, any::<u8>()), 0..60)) {
            let (mut few, mut map) = (Few::default(), BTreeMap::new());
            for (puts, key, value) in steps {
                if puts {
                    prop_assert_eq!(few.insert(key, value), map.insert(key, value));
                } else {
                    prop_assert_eq!(few.remove(&key), map.remove(&key));
                }
                prop_assert_eq!(few.is_empty(), map.is_empty());
                prop_assert!(few.values().eq(map.values()));
                prop_assert!(few.clone().drain().eq(map.clone().into_values()));
            }
        }
    }
}
