//! Keys without which the pipeline goes on.
//!
//! One of another type is read as if it was absent, and left alone. The watch of this collector (`health/watch`) logs its
//! name, and `status` and `check` report it.

use std::error::Error;

use rackwatch_runtime::error::chain;
use redis::RedisResult;

/// Returns whether an error, or a cause of it, is a key of the wrong type.
pub(crate) fn is_wrong_type(error: &(dyn Error + 'static)) -> bool {
    chain(error).contains("WRONGTYPE")
}

/// Turns the answer about a key of the wrong type into the default.
pub(crate) fn unless_wrong_type<T: Default>(answer: RedisResult<T>) -> RedisResult<T> {
    match answer {
        Err(error) if is_wrong_type(&error) => Ok(T::default()),
        answer => answer,
    }
}
