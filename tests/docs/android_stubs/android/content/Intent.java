package android.content;

import android.net.Uri;

public class Intent {
    public static final String ACTION_GET_CONTENT = "android.intent.action.GET_CONTENT";
    public Intent(String action) {}
    public Intent setType(String type) { return this; }
    public Uri getData() { return null; }
}
