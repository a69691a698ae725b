//! deriva
