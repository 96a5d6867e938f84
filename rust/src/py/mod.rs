//! The Python module: three drivers over one base class. The only part that knows Python, and all that it knows.
//!
//! Every method keeps the GIL: a release costs more than the work (5 ms to get it back when another thread computes), and
//! nothing here waits, except for the IO thread to end. Objects are frozen and lock inside.

mod binding;
mod convert;
mod endpoints;
mod sans_io;
mod settings;
mod streams;

use std::collections::BTreeMap;

use pyo3::prelude::*;

use crate::{core::quinn, tls};

/// The versions of the QUIC and TLS libraries, and the name of the cryptography provider.
#[pyfunction]
fn version() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([quinn::LIBRARY, ("rustls", env!("RUSTLS_VERSION")), ("crypto", tls::PROVIDER)])
}

#[pymodule(gil_used = false)]
fn _quic(module: &Bound<'_, PyModule>) -> PyResult<()> {
    convert::add_constants(module)?;
    module.add_class::<settings::ServerTls>()?;
    module.add_class::<settings::ClientTls>()?;
    module.add_class::<settings::Transport>()?;
    module.add_class::<streams::Streams>()?;
    module.add_class::<endpoints::Endpoint>()?;
    module.add_class::<endpoints::ThreadedEndpoint>()?;
    module.add_class::<sans_io::SansIo>()?;
    module.add_function(wrap_pyfunction!(version, module)?)?;
    // The stub says what is public.
    module.delattr("__all__")
}
