//! Passes the linker flags that an addon needs on this system.

fn main() {
    napi_build::setup();
}
