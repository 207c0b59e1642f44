"""Between the plant's equipment and the station door of the MES."""
