//! The fields of objects whose class has `__slots__`, read from where they are and written when they are made: an attribute
//! look-up for each of five fields of a hundred thousand tasks takes longer than to run them, and so does the call of a
//! frozen dataclass, which sets each field by name and checks what the engine knows to be right.
#![allow(unsafe_code, reason = "the interpreter has no call for what it does itself at every look-up")]

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString, PyType};
use pyo3::{Borrowed, ffi};

/// Where objects of a class keep some of their fields.
pub(crate) struct Fields<const N: usize> {
    kind: Py<PyType>,
    /// In bytes from the start of the object.
    offsets: [isize; N],
}

impl<const N: usize> Fields<N> {
    /// Find them.
    ///
    /// # Errors
    /// TypeError if one of the names is not of a slot that holds an object.
    pub(crate) fn of(kind: &Bound<'_, PyType>, names: [&str; N]) -> PyResult<Self> {
        let mut offsets = [0; N];
        for (offset, name) in offsets.iter_mut().zip(names) {
            *offset = Self::offset(&kind.getattr(name)?, name)?;
        }
        Ok(Self { kind: kind.clone().unbind(), offsets })
    }

    fn offset(descriptor: &Bound<'_, PyAny>, name: &str) -> PyResult<isize> {
        // SAFETY: the object is what its type says, and a member descriptor has a member for as long as it lives.
        let slot = unsafe {
            let is_member = ffi::Py_TYPE(descriptor.as_ptr()) == &raw mut ffi::PyMemberDescr_Type;
            is_member.then(|| &*(*descriptor.as_ptr().cast::<ffi::PyMemberDescrObject>()).d_member)
        };
        match slot {
            Some(member) if member.type_code == ffi::Py_T_OBJECT_EX => Ok(member.offset),
            _ => {
                let name = PyString::new(descriptor.py(), name).repr()?;
                Err(PyTypeError::new_err(format!("{name} is no slot")))
            }
        }
    }

    /// The class.
    pub(crate) fn kind<'py>(&self, py: Python<'py>) -> &Bound<'py, PyType> {
        self.kind.bind(py)
    }

    /// A new object with these fields, without a call of the class: what they are is not checked.
    ///
    /// # Errors
    /// MemoryError.
    pub(crate) fn make<'py>(&self, py: Python<'py>, values: [Bound<'py, PyAny>; N]) -> PyResult<Bound<'py, PyAny>> {
        // SAFETY: all slots of a new object are null, each offset is that of a slot of this class, and nothing can run
        // between the first and the last of them being set.
        unsafe {
            let object = ffi::PyType_GenericAlloc(self.kind.as_ptr().cast(), 0);
            let object = Bound::from_owned_ptr_or_err(py, object)?;
            for (offset, value) in self.offsets.iter().zip(values) {
                let place = object.as_ptr().cast::<u8>().offset(*offset).cast::<*mut ffi::PyObject>();
                place.write(value.into_ptr());
            }
            Ok(object)
        }
    }

    /// A field of one of its objects; `None` if it has not been set, or the object is of another class. What may be changed
    /// while it is looked at is not to be read in this way.
    #[inline]
    pub(crate) fn get<'a, 'py>(&self, object: &'a Bound<'py, PyAny>, field: usize) -> Option<Borrowed<'a, 'py, PyAny>> {
        let py = object.py();
        if object.get_type_ptr() != self.kind.as_ptr().cast() {
            return None;
        }
        // SAFETY: an object of this very class has a pointer there, which is null or an object that it holds.
        unsafe {
            let place = object.as_ptr().cast::<u8>().offset(self.offsets[field]).cast::<*mut ffi::PyObject>();
            Borrowed::from_ptr_or_opt(py, place.read())
        }
    }

    /// The same for a whole number; `None` also if it does not fit. Raises nothing on the way, so that it may be asked
    /// while something is locked.
    #[inline]
    pub(crate) fn number(&self, object: &Bound<'_, PyAny>, field: usize) -> Option<i64> {
        let value = self.get(object, field)?;
        let value = value.cast::<PyInt>().ok()?;
        let mut overflow = 0;
        // SAFETY: it is an int, and what does not fit is told by `overflow`.
        let number = unsafe { ffi::PyLong_AsLongLongAndOverflow(value.as_ptr(), &raw mut overflow) };
        (overflow == 0).then_some(number)
    }
}
