//! Values that a process makes for itself: a forked child never touches what its parent made.

use std::mem;
use std::process;
use std::sync::{Arc, OnceLock};

/// One value per process, made on first use in each.
///
/// A child made by `fork()` finds its parent's value here, perhaps locked by a thread that does not exist in the
/// child. It is left alone, also on drop, and the child makes its own.
#[derive(Debug)]
pub(crate) struct PerProcess<T> {
    first: Node<T>,
}

#[derive(Debug)]
struct Node<T> {
    pid: u32,
    value: Arc<T>,
    child: OnceLock<Box<Node<T>>>,
}

impl<T> PerProcess<T> {
    /// Holds `value` for the calling process.
    pub(crate) fn new(value: T) -> Self {
        Self { first: Node::new(value) }
    }

    /// This process's value, made by `make` if a parent process made the last one.
    pub(crate) fn get(&self, make: impl FnOnce() -> T) -> &T {
        let pid = process::id();
        let mut node = &self.first;
        while node.pid != pid {
            match node.child.get() {
                Some(next) => node = next,
                None => return &node.child.get_or_init(|| Box::new(Node::new(make()))).value,
            }
        }
        &node.value
    }

    /// This process's value if it has one already. Safe in a signal handler.
    pub(crate) fn existing(&self) -> Option<&T> {
        let pid = process::id();
        let mut node = &self.first;
        while node.pid != pid {
            node = node.child.get()?;
        }
        Some(&node.value)
    }
}

impl<T> Node<T> {
    fn new(value: T) -> Self {
        Self { pid: process::id(), value: Arc::new(value), child: OnceLock::new() }
    }
}

impl<T> Drop for Node<T> {
    #[allow(clippy::mem_forget, reason = "a parent's value must not be dropped in its child")]
    fn drop(&mut self) {
        if self.pid != process::id() {
            mem::forget(Arc::clone(&self.value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn one_value_per_process() {
        let value = PerProcess::new(1);
        assert_eq!(*value.get(|| 2), 1);
        assert_eq!(value.existing(), Some(&1));
    }

    #[test]
    fn what_a_parent_made_is_left_alone() {
        struct Tell<'a>(&'a Mutex<Vec<&'static str>>, &'static str);
        impl Drop for Tell<'_> {
            fn drop(&mut self) {
                self.0.lock().unwrap().push(self.1);
            }
        }
        let dropped = Mutex::new(Vec::new());
        let mut value = PerProcess::new(Tell(&dropped, "parent's"));
        value.first.pid = 0; // as a child finds it
        assert!(value.existing().is_none());
        assert_eq!(value.get(|| Tell(&dropped, "child's")).1, "child's");
        assert_eq!(value.get(|| unreachable!()).1, "child's");
        drop(value);
        assert_eq!(*dropped.lock().unwrap(), ["child's"]);
    }
}
