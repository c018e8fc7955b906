plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

android {
    namespace = "org.example.expressions"
    compileSdk = 35
    defaultConfig {
        applicationId = "org.example.expressions"
        minSdk = 26
        targetSdk = 35
        versionCode = 1
        versionName = "1.0"
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
    kotlinOptions { jvmTarget = "17" }
    // The model is mapped into memory from the APK, which it cannot be when it is compressed there.
    androidResources { noCompress += "tflite" }
}

dependencies {
    // The last LiteRT whose main interface is the Interpreter.
    implementation("com.google.ai.edge.litert:litert:1.4.2")
}
