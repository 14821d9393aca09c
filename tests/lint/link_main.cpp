// The main of each layer's link test: the layer itself is what is being linked.
int main() {}
