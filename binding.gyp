{
  # CMakeLists.txt is the one build description. This file only lets node-gyp and prebuildify reach it.
  "targets": [{
    "target_name": "cmake",
    "type": "none",
    "actions": [{
      "action_name": "cmake_js",
      "message": "Building with CMake",
      "inputs": ["CMakeLists.txt"],
      "outputs": ["<(PRODUCT_DIR)/always-run"],  # never made, so the action always runs; ninja decides
      "action": [
        "node", "<!(node -p \"require.resolve('cmake-js/bin/cmake-js')\")", "build",
        "--out", "build/cmake",
        "--target", "alignlab",
        "--CDCMAKE_LIBRARY_OUTPUT_DIRECTORY=<(module_root_dir)/build/Release"
      ]
    }]
  }]
}
