//! `Limits` as the native core holds them; parsed and documented in Python.

use std::time::Duration;

use airssys_host::limits::Limits;
use airssys_host::wasi::HttpLimits;
use pyo3::prelude::*;

use crate::quota::PyAccount;

#[pyclass(frozen, name = "Limits", module = "airssys._core")]
pub struct PyLimits {
    pub limits: Limits,
}

#[pymethods]
impl PyLimits {
    #[new]
    #[pyo3(signature = (*, memory, table_elements, core_instances, memories, tables, call_timeout, cpu_per_call, host_call_bytes, open_handles, http_request_body, http_response_body, http_headers, coredump, connections=64, messages_per_second=None))]
    fn new(
        memory: u64,
        table_elements: u64,
        core_instances: usize,
        memories: usize,
        tables: usize,
        call_timeout: f64,
        cpu_per_call: f64,
        host_call_bytes: usize,
        open_handles: usize,
        http_request_body: u64,
        http_response_body: u64,
        http_headers: usize,
        coredump: bool,
        connections: usize,
        messages_per_second: Option<u64>,
    ) -> PyResult<Self> {
        let seconds = |seconds| {
            Duration::try_from_secs_f64(seconds)
                .map_err(|error| pyo3::exceptions::PyValueError::new_err(error.to_string()))
        };
        let (call_timeout, cpu_per_call) = (seconds(call_timeout)?, seconds(cpu_per_call)?);
        Ok(Self {
            limits: Limits {
                memory,
                table_elements,
                core_instances,
                memories,
                tables,
                call_timeout,
                cpu_per_call,
                host_call_bytes,
                open_handles,
                http: HttpLimits {
                    request_body: http_request_body,
                    response_body: http_response_body,
                    headers: http_headers,
                },
                connections,
                messages_per_second,
                coredump,
                account: None,
            },
        })
    }

    /// The same for instances whose use is counted in `account`.
    fn counted(&self, account: &PyAccount) -> Self {
        Self {
            limits: Limits {
                account: Some(account.account.clone()),
                ..self.limits.clone()
            },
        }
    }
}
